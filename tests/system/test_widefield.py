"""The bundled composite of widefield imaging on a recording with planted activity, by the command line."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.sites import TestSite
from support.widefield_recording import QUICK, Recording, recorded

SECONDS = 900.0


@pytest.fixture
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A site as `neurocaas init` makes it."""
    folder = tmp_path_factory.mktemp("widefield")
    for above in (folder, folder.parent):
        above.chmod(0o755)
    site = TestSite(root=folder / "site", folder=folder)
    site("init", site.root)
    yield site
    site.end()
    subprocess.run(["chmod", "-R", "u+w", folder], check=False)


def test_planted_activity_is_found_in_its_regions(bundled: TestSite) -> None:
    recording, out = recorded(bundled.folder / "made"), bundled.folder / "out"
    config = bundled.folder / "config.json"
    config.write_text(json.dumps(QUICK | {"locanmf.landmarks": recording.landmarks}))
    asked = ("run", "widefield", recording.path, "--config", config, "--out", out)
    first = bundled(*asked, seconds=SECONDS)
    assert "on 1 dataset, 5 stacks:" in first.err
    results = out / recording.path.stem
    for step in ("overview", "preprocess/motion", "preprocess/pmd", "preprocess/hemodynamics", "locanmf"):
        assert (results / step).is_dir()
    assert "certificate valid" in bundled("verify", out / "certificate.json", out).out
    found = _likeness(recording, results)
    print("correlation with what was planted:", {name: round(r, 2) for name, r in found.items()})
    assert set(found) == set(recording.truth["regions"])
    assert np.median(list(found.values())) > 0.9

    again = bundled(*asked, "--set", "locanmf.loc_thresh=70", seconds=SECONDS)
    assert "4 of 5 stacks answered from job" in again.out


def _likeness(recording: Recording, results: Path) -> dict[str, float]:
    """Of the strongest component of each active region with its planted time course, both without slow changes: those
    the hemodynamic correction takes off."""
    courses = np.load(results / "locanmf" / "C.npy")
    with (results / "locanmf" / "regions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for number, name in enumerate(recording.truth["regions"]):
        of_region = [k for k, row in enumerate(rows) if f"{row['region']} {row['side']}" == name]
        if of_region:
            strongest = max(of_region, key=lambda k: float(rows[k]["explained_variance"]))
            planted = _fast(recording.truth["courses"][:, number])
            found[str(name)] = float(np.corrcoef(planted, _fast(courses[strongest]))[0, 1])
    return found


def _fast(course: np.ndarray) -> np.ndarray:
    """Less a parabola."""
    time = np.linspace(-1, 1, len(course))
    return course - np.polyval(np.polyfit(time, course, 2), time)
