"""Motion correction of one two-channel recording: the workflow that blueprint.json names.

Reads the input `recording`, writes corrected.npy, shifts.npy, mean.npy, summary.json and figure.png to the results
folder. README.md tells how to run it by hand.
"""

from __future__ import annotations

import os
import sys

# Frames are shared out among processes here; threads that a library made in each would only be in their way.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from correction import Correction, Motion
from job import Job, progress, run
from recording import Recording, open_recording

POOR = 0.5  # likeness below which a frame is said to match badly


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The properties of parameters.schema.json, which the platform has already checked."""

    sampling_rate_hz: float  # of one channel
    blue_channel: int  # 1 or 2
    frame_order: str  # "interleaved" or "sequential"
    baseline_frames: int  # 0: all
    max_shift: float  # pixels


def main(job: Job) -> None:
    parameters = Parameters(**job.config)
    cores = max(1, int(os.environ.get("NEUROCAAS_CORES") or 1))
    recording = open_recording(
        job.inputs["recording"], frame_order=parameters.frame_order, blue_channel=parameters.blue_channel
    )
    _log(f"{recording.name}: {recording.times:,} time points of 2 x {recording.shape[0]} x {recording.shape[1]} pixels")
    correction = Correction(recording, max_shift=parameters.max_shift, memory_mib=job.memory_mib, cores=cores)

    progress(0.0, "making a mean image of each channel")
    began = time.monotonic()
    motion = correction.measure(baseline_frames=parameters.baseline_frames, progress=_between(0.02, 0.7))
    measured = time.monotonic()
    correction.write(job.results / "corrected.npy", motion, progress=_between(0.7, 0.95))
    written = time.monotonic()
    megabytes = recording.times * recording.bytes_per_time / 1e6
    _log(
        f"{megabytes:.0f} MB at {megabytes / (written - began):.1f} MB/s on {cores} core(s): motion measured in "
        f"{measured - began:.1f} s, frames moved back in {written - measured:.1f} s"
    )

    np.save(job.results / "shifts.npy", motion.shifts)
    np.save(job.results / "mean.npy", motion.mean)
    summary = _summary(recording, motion, parameters)
    (job.results / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    progress(0.96, "drawing the figure")
    from figure import draw  # matplotlib takes a second to import, so only once there is something to draw

    draw(job.results / "figure.png", recording, motion, rate_hz=parameters.sampling_rate_hz)
    progress(1.0, f"shifts of up to {summary['largest_shift_px']:.1f} px undone")


def _summary(recording: Recording, motion: Motion, parameters: Parameters) -> dict[str, object]:
    """No times: what is computed is the same whenever it is run, and so is this file. Times are in the log."""
    lengths = np.hypot(motion.shifts[..., 0], motion.shifts[..., 1])
    poor = (motion.likeness < POOR).any(axis=1)
    if poor.any():
        _log(f"{int(poor.sum())} time points match their mean image badly (likeness below {POOR}): look at figure.png")
    limit = np.abs(motion.shifts).max(axis=(1, 2)) >= parameters.max_shift - 0.5
    if limit.any():
        _log(f"{int(limit.sum())} time points are shifted by max_shift or more: a larger one may be right")
    return {
        "recording": recording.name,
        "time_points": recording.times,
        "frame_shape": recording.shape,
        "recording_megabytes": recording.times * recording.bytes_per_time / 1e6,
        "parameters": asdict(parameters),
        "largest_shift_px": float(lengths.max()),
        "median_shift_px": float(np.median(lengths)),
        "mean_likeness": float(motion.likeness.mean(dtype=float)),
        "lowest_likeness": float(motion.likeness.min()),
        "time_points_that_match_badly": int(poor.sum()),
        "time_points_at_max_shift": int(limit.sum()),
        "channel_offset_px": np.round(motion.channel_offset, 4).tolist(),
        "channel_likeness": motion.channel_likeness,
    }


def _between(start: float, stop: float) -> Callable[[float, str], None]:
    """Progress of one part of the work as progress of the whole, told at every second percent of the part."""
    told = -1.0

    def tell(fraction: float, message: str) -> None:
        nonlocal told
        if fraction >= told + 0.02 or fraction >= 1:
            told = fraction
            progress(start + (stop - start) * fraction, message)

    return tell


def _log(line: str) -> None:
    """A line for who reads the log, at once: what is printed comes in blocks otherwise."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
