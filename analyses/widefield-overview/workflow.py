"""What a two-channel recording looks like, and the atlas to lay over it: the workflow that blueprint.json names.

Reads the input `recording` and, if given, `atlas`, `atlas_landmarks` and `mask`; writes mean.npy, mean.png, atlas.json,
overview.json and, of a mask that is given, mask.npy to the results folder. README.md tells how to run it by hand.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from atlas import read_atlas, schematic_atlas
from job import Failure, Job, progress, run
from mask import read_mask
from recording import CHANNELS, Recording, open_recording

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The properties of parameters.schema.json, which the platform has already checked."""

    blue_channel: int  # 1 or 2
    frame_order: str  # "interleaved" or "sequential"
    frames: int  # time points that are averaged


def main(job: Job) -> None:
    parameters = Parameters(**job.config)
    given, landmarks = job.inputs.get("atlas"), job.inputs.get("atlas_landmarks")
    if landmarks and not given:
        raise Failure(f"{landmarks.name} is given without an atlas; its regions, as the input atlas, are needed too.")
    atlas = read_atlas(given, landmarks) if given else schematic_atlas()
    recording = open_recording(
        job.inputs["recording"], frame_order=parameters.frame_order, blue_channel=parameters.blue_channel
    )
    height, width = recording.shape
    mask = read_mask(job.inputs["mask"], height, width) if "mask" in job.inputs else None
    chosen = np.unique(np.linspace(0, recording.times - 1, min(recording.times, parameters.frames)).round().astype(int))
    mean = _mean(recording, chosen)
    np.save(job.results / "mean.npy", mean)
    (job.results / "atlas.json").write_text(json.dumps(atlas), encoding="utf-8")
    if mask is not None:
        np.save(job.results / "mask.npy", mask)
    overview = {
        "recording": recording.name,
        "channels": CHANNELS,
        "frames": recording.times,
        "frames_averaged": len(chosen),
        "height": height,
        "width": width,
        "dtype": recording.dtype.name,
        "atlas": atlas["name"],
        "schematic": atlas["schematic"],
        "mask": None if mask is None else job.inputs["mask"].name,
        "mask_pixels": None if mask is None else int(mask.sum()),
        "parameters": asdict(parameters),
    }
    (job.results / "overview.json").write_text(json.dumps(overview, indent=2) + "\n", encoding="utf-8")

    progress(0.9, "drawing the figure")
    from figure import draw  # matplotlib takes a second to import, so only once there is something to draw

    name = recording.name if len(recording.name) <= 60 else f"{recording.name[:40]}…{recording.name[-16:]}"
    headline = f"{name}: {recording.times:,} time points, {width} × {height} pixels; {len(chosen)} averaged"
    draw(job.results / "mean.png", headline, mean, atlas, mask)
    progress(1.0, headline)


def _mean(recording: Recording, chosen: Array) -> Array:
    """(2, height, width) float32, one time point in memory after the other."""
    total = np.zeros((CHANNELS, *recording.shape))
    for count, time in enumerate(chosen):
        total += recording.block(int(time), int(time) + 1)[0]
        if count % 20 == 0:
            progress(0.9 * count / len(chosen), "averaging frames")
    mean: Array = (total / len(chosen)).astype(np.float32)
    return mean


if __name__ == "__main__":
    sys.exit(run(main))
