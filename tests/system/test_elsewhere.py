"""Where a job runs is one word: the same certificate on this machine, a real Slurm cluster and an emulated AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.batch_site import BatchSite
from support.sites import TestSite
from support.slurm import Cluster

# One worker has the cluster.
pytestmark = pytest.mark.xdist_group("slurm")

WITHIN_TOLERANCE = 9


@pytest.fixture
def everywhere(batch_site: BatchSite, slurm: Cluster) -> TestSite:
    """A site with all three providers. The cluster's nodes share no files with it: all goes through its bucket."""
    site = batch_site.site
    site.variables |= slurm.variables
    scratch = site.folder / "scratch"
    site.declare(providers=["local", "slurm", "aws"], slurm={"shared": False, "work": str(scratch)})
    return site


def recordings(site: TestSite) -> list[Path]:
    random = np.random.default_rng(11)
    paths = [site.folder / f"recording-{index}.npy" for index in range(2)]
    for path in paths:
        np.save(path, random.normal(size=(60, 12, 12)).astype("float32"))
    return paths


def providers_of(out: Path) -> set[str]:
    """Whose instances a job ran on, by its certificate."""
    stacks: list[dict[str, Any]] = json.loads((out / "certificate.json").read_text())["stacks"]
    return {one["instance"]["provider"] for stack in stacks for one in stack["attempts"]}


def test_a_certificate_is_reproduced_on_every_other_provider(
    everywhere: TestSite, record_property: Callable[[str, object], None]
) -> None:
    site, first, data = everywhere, everywhere.folder / "local", recordings(everywhere)
    refused = site("run", "pca", *data, "--provider", "moon", expect=2).err
    assert "provider: found 'moon'; one of this site's, local, slurm, aws, is right." in refused
    site("run", "pca", *data, "--set", "components=3", "--provider", "local", "--out", first)
    assert providers_of(first) == {"local"}
    reproduced = {("local", "slurm"): first, ("local", "aws"): first, ("aws", "local"): site.folder / "local-on-aws"}
    for (before, provider), certified in reproduced.items():
        out = site.folder / f"{before}-on-{provider}"
        again = site(
            "reproduce", certified / "certificate.json", "--provider", provider, "--out", out, "--json", expect=None
        )
        assert again.code in {0, WITHIN_TOLERANCE}, again.err
        found = again.json
        assert found["verdict"] == ("equal" if again.code == 0 else "within tolerance")
        assert providers_of(out) == {provider}
        assert f"pca: on {provider} with " in found["machines"][0]
        assert f"the first time on {before} with " in found["machines"][0]
        assert "the same environment" in found["environments"][0]
        assert "certificate valid" in site("verify", out / "certificate.json", out).out
        record_property("figures", f"pca certified on {before}, reproduced on {provider}: {found['verdict']}.")
