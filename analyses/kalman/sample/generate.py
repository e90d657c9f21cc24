"""Recordings of a planted linear dynamical system. Usage: python generate.py FOLDER

A damped oscillator (2 states, eigenvalues 0.99 exp(±0.209 i): 1 Hz at 30 frames per second) seen in noisy channels:
complete.npy (600 × 6), gaps.csv (600 × 6, two whole gaps and several single-channel gaps as empty cells, with a
header) and trials.npy (8 × 120 × 6, gaps as NaN).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SAMPLING_RATE_HZ = 30.0
MAGNITUDE, ANGLE = 0.99, 2 * np.pi / SAMPLING_RATE_HZ
DYNAMICS = MAGNITUDE * np.array([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])
STATE_NOISE = 0.04 * np.eye(2)
WEIGHTS = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.7, 0.7], [0.5, -0.9], [-1.0, -0.3]])
NOISE = np.diag([0.10, 0.15, 0.20, 0.15, 0.10, 0.25])
OFFSET = np.array([5.0, 0.0, -3.0, 1.0, 0.0, 2.0])


def sampled(generator: np.random.Generator, points: int) -> Array:
    """One recording (points, 6) of the planted system."""
    state = generator.multivariate_normal(np.zeros(2), np.eye(2))
    observed = np.empty((points, len(WEIGHTS)))
    for point in range(points):
        observed[point] = OFFSET + WEIGHTS @ state + generator.multivariate_normal(np.zeros(len(WEIGHTS)), NOISE)
        state = DYNAMICS @ state + generator.multivariate_normal(np.zeros(2), STATE_NOISE)
    return observed


def with_gaps(recording: Array) -> Array:
    """About a fifth of a 600-point recording taken away: whole stretches and single channels."""
    observed = recording.copy()
    observed[140:175] = np.nan
    observed[420:480] = np.nan
    observed[250:330, 1] = np.nan
    observed[300:400, 3:5] = np.nan
    observed[520:545, 0] = np.nan
    observed[:40, 5] = np.nan
    return observed


def recordings() -> dict[str, Array]:
    """All sample recordings by file name."""
    generator = np.random.default_rng(20220106)
    trials = np.stack([sampled(generator, 120) for _ in range(8)])
    trials[2, 50:80] = np.nan
    trials[5, 90:] = np.nan
    trials[6, 20:60, 2] = np.nan
    return {
        "complete.npy": sampled(generator, 600),
        "gaps.csv": with_gaps(sampled(generator, 600)),
        "trials.npy": trials,
    }


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in recordings().items():
        if name.endswith(".npy"):
            np.save(folder / name, values)
            continue
        lines = [",".join(f"marker_{n + 1}" for n in range(values.shape[1]))]
        lines += [",".join("" if np.isnan(value) else f"{value:.6f}" for value in row) for row in values]
        (folder / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python generate.py FOLDER")
    write(Path(sys.argv[1]))
