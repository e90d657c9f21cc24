"""Recordings to drop: a large one made on the fly, and real ones where they lie beside the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
MIB = 1 << 20


def large_movie(path: Path, mebibytes: int = 300) -> Path:
    """A movie of so many MiB, uint16, 256 x 256 pixels: three patterns that come and go, in noise."""
    random = np.random.default_rng(7)
    frames = mebibytes * MIB // (2 * 256 * 256)
    patterns = random.normal(size=(3, 256 * 256)).cumsum(axis=1)
    patterns /= np.abs(patterns).max(axis=1, keepdims=True)
    noise = random.normal(0, 20, (16, 256 * 256))
    header = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=(frames, 256, 256))
    for t in range(frames):
        courses = np.sin(t / np.array([3.0, 11.0, 40.0]))
        header[t] = (1000 + 200 * courses @ patterns + noise[t % 16]).reshape(256, 256)
    header.flush()
    return path


def small_recordings(folder: Path) -> tuple[str, list[Path]]:
    """A two-photon and a behavioural recording, and which they are: real ones, or else the sample of `pca`."""
    for data in (PROJECT / "shared" / "data", PROJECT.parent / "shared" / "data"):
        real = [data / "two-photon" / "example.tif", data / "mirror-mouse" / "videos" / "test_vid.mp4"]
        if all(one.is_file() for one in real):
            return "real recordings", real
    generator = PROJECT / "analyses" / "pca" / "sample" / "generate.py"
    subprocess.run([sys.executable, generator, folder], check=True, capture_output=True)
    return "generated stand-ins", [folder / "two-photon.tif", folder / "behaviour.mp4"]
