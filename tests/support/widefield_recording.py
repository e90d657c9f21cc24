"""A small widefield recording with planted activity, and parameters that analyse it in seconds."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

GENERATOR = Path(__file__).resolve().parents[2] / "analyses" / "widefield-motion" / "sample" / "generate.py"
SMALL = (72, 84, 300)
# For the quick: blocks that do not overlap, fewer components, and regions that are small in so small an image.
QUICK = {
    "preprocess.pmd.overlapping": False,
    "preprocess.pmd.max_components": 12,
    "locanmf.max_rank": 2,
    "locanmf.maxiter_lambda": 15,
    "locanmf.min_region_px": 25,
}


@dataclass(frozen=True, kw_only=True)
class Recording:
    """size: height, width, time points. landmarks: name, x and y in pixels. truth: what was planted, as
    sample/generate.py of widefield-motion says."""

    size: tuple[int, int, int]
    path: Path
    landmarks: list[dict[str, Any]]
    truth: dict[str, np.ndarray[Any, Any]]

    def likeness(self, results: Path) -> dict[str, float]:
        """For each active region, how its planted time course correlates with that of its strongest component in
        locanmf's results; both without slow changes, which the hemodynamic correction takes off."""
        courses = np.load(results / "C.npy")
        with (results / "regions.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        found = {}
        for planted, name in zip(self.truth["courses"].T, map(str, self.truth["regions"]), strict=True):
            of_region = [k for k, row in enumerate(rows) if f"{row['region']} {row['side']}" == name]
            if of_region:
                strongest = max(of_region, key=lambda k: float(rows[k]["explained_variance"]))
                found[name] = float(np.corrcoef(_fast(planted), _fast(courses[strongest]))[0, 1])
        return found


def recorded(folder: Path, size: tuple[int, int, int] = SMALL) -> Recording:
    """Made in the folder by the generator that comes with widefield-motion."""
    subprocess.run([sys.executable, GENERATOR, folder, "--size", *map(str, size)], check=True)
    [path] = folder.glob("*.dat")
    landmarks = json.loads((folder / "landmarks.json").read_text())["landmarks"]
    with np.load(folder / "truth.npz") as truth:
        return Recording(size=size, path=path, landmarks=landmarks, truth=dict(truth))


def _fast(course: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Less a parabola."""
    time = np.linspace(-1, 1, len(course))
    return np.asarray(course - np.polyval(np.polyfit(time, course, 2), time))
