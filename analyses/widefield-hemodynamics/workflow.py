"""Hemodynamic correction of one decomposed two-channel recording: the workflow that blueprint.json names.

Reads the inputs `spatial` and `temporal`, writes U.npy, SVT.npy, SVTcorr.npy, rcoeffs.npy, T.npy, summary.json and
figure.png to the results folder. README.md tells how to run it by hand.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from decomposed import Decomposed, open_decomposed
from hemodynamics import Corrected, Filters, correct, spectra
from job import Failure, Job, progress, run

LOWEST = 1e-6  # of half the sampling rate: a filter below it cannot be told from none in double precision


def main(job: Job) -> None:
    filters = Filters(**job.config)
    data = open_decomposed(job.inputs["spatial"], job.inputs["temporal"])
    height, width, rank = data.shape
    print(
        f"{rank} components of {height} x {width} pixels, {data.blue.shape[1]:,} time points of two channels",
        flush=True,
    )
    check(filters)
    if not filters.smooths:
        print("violet is not smoothed: lowpass_hz is 0, or half the sampling rate and more", flush=True)

    progress(0.1, "fitting violet to blue")
    corrected = correct(data, filters)
    progress(0.6, "writing results")
    write(job.results, data, corrected)
    spectrum = spectra(data, corrected, filters.sampling_rate_hz)
    heart_hz = spectrum.heart_hz
    brain = corrected.coefficients[corrected.explained > 0]
    summary: dict[str, object] = {
        "frame_shape": [height, width],
        "rank": rank,
        "time_points": data.blue.shape[1],
        "parameters": asdict(filters),
        "median_coefficient": float(np.median(brain)) if brain.size else None,
        "variance_taken_off": float(1 - spectrum.after.sum() / spectrum.before.sum()),
        "heart_beat_hz": heart_hz,
    }
    if heart_hz is not None:
        summary["heart_beat_left"] = spectrum.left_at(heart_hz)
    (job.results / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")

    progress(0.8, "drawing the figure")
    from figure import draw  # matplotlib takes a second to import, so only once there is something to draw

    draw(job.results / "figure.png", data, corrected, spectrum, filters)
    progress(1.0, f"{summary['variance_taken_off']:.0%} of blue's variance taken off")


def check(filters: Filters) -> None:
    """Raises a Failure for cutoffs that no filter can have, or that leave nothing of violet."""
    nyquist = filters.sampling_rate_hz / 2
    if filters.highpass_hz >= nyquist:
        raise Failure(
            f"highpass_hz is {filters.highpass_hz:g}; less than {nyquist:g}, half of sampling_rate_hz, is needed."
        )
    for name, cutoff_hz in (("highpass_hz", filters.highpass_hz), ("lowpass_hz", filters.lowpass_hz)):
        if 0 < cutoff_hz < LOWEST * nyquist:
            raise Failure(
                f"{name} is {cutoff_hz:g}; 0, or at least {LOWEST * nyquist:g}, a millionth of half of "
                "sampling_rate_hz, is needed."
            )
    if filters.smooths and filters.highpass_hz >= filters.lowpass_hz:
        raise Failure(
            f"highpass_hz is {filters.highpass_hz:g} and lowpass_hz {filters.lowpass_hz:g}, which leaves nothing of "
            "violet; a larger lowpass_hz is needed."
        )


def write(folder: Path, data: Decomposed, corrected: Corrected) -> None:
    """All as float32, as wfield keeps them; U strip by strip."""
    with (folder / "U.npy").open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": data.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for _, maps in data.strips():
            file.write(np.ascontiguousarray(maps, "<f4").tobytes())
    for name, values in (
        ("SVT", data.blue),
        ("SVTcorr", corrected.courses),
        ("rcoeffs", corrected.coefficients),
        ("T", corrected.transform),
    ):
        np.save(folder / f"{name}.npy", values.astype(np.float32))


if __name__ == "__main__":
    sys.exit(run(main))
