"""Principal component analysis of one recording: the workflow that blueprint.json names.

Reads the input `recording`, writes components.npy, time_courses.npy, explained_variance.csv, mean.npy, summary.json and
figure.png to the results folder. README.md tells how to run it by hand.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from baseline import Prepared, measure
from decomposition import Components, Memory, choose_route, decompose, hold
from job import Failure, Job, progress, run
from recording import Recording, binned, luminance, open_recording


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The properties of parameters.schema.json, which the platform has already checked."""

    components: int
    spatial_bin: int  # pixels
    detrend: str  # "none" or "linear"
    standardize: bool
    frame_rate_hz: float  # 0: as the file says


def main(job: Job) -> None:
    parameters = Parameters(**job.config)
    memory = Memory.granted(job.memory_mib)
    recording = binned(luminance(open_recording(job.inputs["recording"])), parameters.spatial_bin)
    _check_count(recording, parameters)

    route = choose_route(recording, memory, parameters.components)
    _log(f"{recording.name}: {recording.frames:,} frames of {recording.values_per_frame:,} values, {route}")

    if memory.can_hold(recording):
        recording = hold(recording, memory, _between(0.0, 0.25))
    frames_per_block = memory.frames_per_block(recording)
    baseline = measure(
        recording,
        frames_per_block=frames_per_block,
        detrend=parameters.detrend == "linear",
        standardize=parameters.standardize,
        progress=_between(0.25, 0.35),
    )
    data = Prepared(recording=recording, baseline=baseline, frames_per_block=frames_per_block)
    found = decompose(data, route, count=parameters.components, seed=job.seed, progress=_between(0.35, 0.9))

    frame_rate_hz = parameters.frame_rate_hz or recording.frame_rate_hz
    write(job.results, data, found)
    summary = {
        "recording": recording.name,
        "frames": recording.frames,
        "frame_shape": recording.shape,
        "frame_rate_hz": frame_rate_hz,
        "parameters": asdict(parameters),
        "total_variance": baseline.total_variance,
        "explained_variance": float(found.variances.sum() / baseline.total_variance),
        "explained_variance_ratio": (found.variances / baseline.total_variance).tolist(),
        "method": {"route": route, "passes": found.passes, "relative_change": found.relative_change},
    }
    (job.results / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")

    progress(0.92, "drawing the figure")
    from figure import draw  # matplotlib takes a second to import, so only once there is something to draw

    draw(job.results / "figure.png", data, found, frame_rate_hz)
    explained = f"{found.variances.sum() / baseline.total_variance:.1%} of the variance explained"
    _log(explained)
    progress(1.0, explained)


def write(folder: Path, data: Prepared, found: Components) -> None:
    """The arrays and the table of the result. Maps have the shape of a frame, after binning."""
    shape = data.recording.shape
    np.save(folder / "components.npy", found.components.reshape(-1, *shape).astype(np.float32))
    np.save(folder / "mean.npy", data.baseline.mean.reshape(shape).astype(np.float32))
    np.save(folder / "time_courses.npy", found.time_courses)
    ratios = found.variances / data.baseline.total_variance
    with (folder / "explained_variance.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["component", "variance", "ratio", "cumulative"])
        table.writerows(zip(range(1, len(ratios) + 1), found.variances, ratios, np.cumsum(ratios), strict=True))


def _check_count(recording: Recording, parameters: Parameters) -> None:
    """Refuse at once what cannot be, before a long recording is read."""
    fitted = 2 if parameters.detrend == "linear" else 1  # the mean and the slope each take one dimension
    most = min(recording.frames - fitted, recording.values_per_frame)
    if parameters.components > most:
        raise Failure(
            f"{recording.name} has {recording.frames} frames of {recording.values_per_frame:,} values, enough for "
            f"{most} component(s), but {parameters.components} are asked for."
        )


def _between(start: float, stop: float) -> Callable[[float, str], None]:
    """Progress of one part of the work as progress of the whole, told at every second percent of the part."""
    told = -1.0

    def tell(fraction: float, message: str) -> None:
        nonlocal told
        if fraction >= told + 0.02 or fraction >= 1:
            told = fraction
            if fraction >= 1:
                _log(f"{message}: done")
            progress(start + (stop - start) * fraction, message)

    return tell


def _log(line: str) -> None:
    """A line for who reads the log, at once: what is printed comes in blocks otherwise."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
