"""Jobs on an emulated AWS with containers that really run: Batch, S3, SQS, STS, an image of pca in a registry."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.batch_site import BatchSite
from support.sites import until

pytestmark = pytest.mark.usefixtures("aws_with_containers")
DATASETS = 8
MANY_MINUTES = 300.0


def recordings(site: BatchSite, count: int, *, frames: int = 60, name: str = "r") -> list[Path]:
    folder = site.site.folder / f"data-{name}"
    folder.mkdir()
    random = np.random.default_rng(7)
    paths = [folder / f"{name}{index}.npy" for index in range(count)]
    for path in paths:
        np.save(path, random.normal(size=(frames, 12, 12)).astype("float32"))
    return paths


def test_eight_datasets_through_containers_of_pca(batch_site: BatchSite) -> None:
    site, out = batch_site.site, batch_site.site.folder / "out"
    data = recordings(batch_site, DATASETS)
    said = site("run", "pca", *data, "--set", "components=3", "--out", out, "--json")
    job = said.json["id"]
    for path in data:
        assert (out / path.stem / "components.npy").is_file()
    assert "certificate valid" in site("verify", out / "certificate.json", out).out
    shown = site("show", job, "--json").json
    assert shown["provider"] == "aws"
    # Charged per stack for the seconds its instance was had, at the catalogue's price.
    assert 0 < float(shown["charged_dollars"]) < DATASETS * 0.192 / 60 * 5
    jobs = batch_site.jobs()
    assert [one["status"] for one in jobs] == ["SUCCEEDED"] * DATASETS
    assert json.dumps(shown)
