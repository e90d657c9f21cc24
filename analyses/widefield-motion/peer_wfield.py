"""wfield 0.6.0 on one recording, as its command line does it: python peer_wfield.py RECORDING.dat FOLDER RATE_HZ.

Run in an environment that has wfield; no part of the analysis. Writes shifts.npy (times, 2, 2) down and right, U.npy,
SVTcorr.npy, rcoeffs.npy and seconds.json. Motion by its mode "ecc", since "2d" fails on smooth fields.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import numpy as np
import wfield
from scipy.interpolate import interp1d


def main(recording: Path, folder: Path, rate_hz: float) -> None:
    frames = wfield.load_dat(str(recording))
    began = time.perf_counter()
    (down, right), _ = wfield.motion_correct(frames, mode="ecc")
    moved = time.perf_counter()
    average = frames.mean(axis=0, dtype=np.float64).astype(np.float32)
    # It leaves zeros where nothing came in, and divides by the mean: its manual says to mask them.
    mask = (frames[:: max(1, len(frames) // 200)] > 0).all(axis=(0, 1))
    maps, courses = wfield.approximate_svd(frames, average, mask=mask)
    decomposed = time.perf_counter()
    times = np.arange(courses.shape[1])
    violet = interp1d(times[1::2], courses[:, 1::2], axis=1, fill_value="extrapolate")(times[::2])
    corrected, coefficients, _ = wfield.hemodynamic_correction(maps, courses[:, ::2], violet, fs=rate_hz)
    ended = time.perf_counter()
    np.save(folder / "shifts.npy", np.stack([down, right], axis=-1))
    np.save(folder / "U.npy", maps)
    np.save(folder / "SVTcorr.npy", corrected)
    np.save(folder / "rcoeffs.npy", coefficients)
    seconds = {"motion": moved - began, "decomposition": decomposed - moved, "hemodynamics": ended - decomposed}
    (folder / "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    with contextlib.redirect_stdout(io.StringIO()):
        main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
