"""Motion correction of a two-channel recording: a template of each channel, shifts of all frames, frames moved back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from job import Failure
from recording import CHANNELS, Recording
from registration import Template, translated
from streaming import Progress, RowOfFrames, through, times_per_block

Array = np.ndarray[Any, Any]

TEMPLATE_FRAMES = 60  # as many as wfield takes, but spread over the whole recording
ROUNDS = 3  # of registering these to their own mean
ALIKE = 0.5  # channels whose contrast correlates by less are not registered to each other


@dataclass(frozen=True, kw_only=True)
class Motion:
    """What was found. The two channels' shifts are relative to one common position if they could be compared."""

    shifts: Array  # (times, 2 channels, 2) pixels down and to the right, float32
    likeness: Array  # (times, 2 channels) correlation of a frame's local contrast with its template's
    mean: Array  # (2 channels, height, width) of the registered frames of the baseline, float32
    channel_offset: Array  # (2,) of the second channel's template from the first's, pixels, undone in the results
    channel_likeness: float  # of the two templates; below ALIKE the offset is 0


@dataclass(frozen=True, kw_only=True)
class Means:
    """Sums of a block's registered frames."""

    shifts: Array
    likeness: Array
    total: Array  # (2, height, width) of the frames of the baseline, float64


class Correction:
    """Passes over one recording, each on all cores, in bounded memory."""

    def __init__(self, recording: Recording, *, max_shift: float, memory_mib: int, cores: int) -> None:
        self.recording = recording
        self._max_shift = max_shift
        self._passes = {
            "per_block": times_per_block(recording, memory_mib=memory_mib, cores=cores),
            "cores": cores,
        }

    def measure(self, *, baseline_frames: int, progress: Progress) -> Motion:
        """Two readings of a few frames, then one of all. baseline_frames: from the start; 0 for all."""
        images, offset, alike = self._template_images()
        templates = [Template(image, max_shift=self._max_shift) for image in images]
        times, baseline = self.recording.times, baseline_frames or self.recording.times
        if baseline > times:
            raise Failure(f"{self.recording.name} has {times} time points, fewer than the {baseline} of the baseline.")
        shifts = np.empty((times, CHANNELS, 2), np.float32)
        likeness = np.empty((times, CHANNELS), np.float32)
        total = np.zeros((CHANNELS, *self.recording.shape))

        def work(start: int, block: Array) -> Means:
            return _registered(block, templates, counted=max(0, baseline - start))

        for start, found in through(
            self.recording, work, progress=progress, message="measuring motion", **self._passes
        ):
            stop = start + len(found.shifts)
            shifts[start:stop], likeness[start:stop] = found.shifts, found.likeness
            total += found.total
        self._check_light(total)
        return Motion(
            shifts=shifts,
            likeness=likeness,
            mean=(total / baseline).astype(np.float32),
            channel_offset=offset,
            channel_likeness=alike,
        )

    def _check_light(self, total: Array) -> None:
        """total: (2, height, width) sum of the registered frames of the baseline. Nothing is relative to no light."""
        for colour, image in zip(("blue", "violet"), total, strict=True):
            if not (image > 0).any():
                raise Failure(
                    f"{self.recording.name} has no light in its {colour} channel: no pixel's mean is above 0; "
                    "brightness as a camera counts it, of both channels, is needed."
                )

    def write(self, path: Path, motion: Motion, *, progress: Progress) -> None:
        """All frames moved back, as change relative to the mean: of the first channel, then of the second.

        Where the mean is not above zero nothing can be told relative to it, and zeros are written.
        """
        times = self.recording.times
        mean = motion.mean
        scale = np.divide(1, mean, out=np.zeros_like(mean), where=mean > 0)
        lit = (mean > 0).astype(np.float32)
        output = RowOfFrames(path, CHANNELS * times, self.recording.shape)

        def work(start: int, block: Array) -> None:
            relative = np.empty((len(block), *self.recording.shape), np.float32)
            for channel in range(CHANNELS):
                for index, frame in enumerate(block[:, channel]):
                    moved = translated(frame.astype(np.float32), motion.shifts[start + index, channel])
                    np.multiply(moved, scale[channel], out=relative[index])
                    relative[index] -= lit[channel]
                output.write(channel * times + start, relative)

        try:
            for _ in through(self.recording, work, progress=progress, message="moving frames back", **self._passes):
                pass
        finally:
            output.close()

    def _template_images(self) -> tuple[Array, Array, float]:
        """(2, height, width), the offset between the channels that was taken off them, and how alike they are."""
        first, second = (self._template_image(channel) for channel in range(CHANNELS))
        between = Template(first, max_shift=self._max_shift).find(second)
        alike = between.likeness >= ALIKE
        offset = between.shift if alike else np.zeros(2)
        return np.stack([first, translated(second, offset)]), offset, between.likeness

    def _template_image(self, channel: int) -> Array:
        """The mean of some frames, registered to one of them and then, again and again, to their own mean.

        It lies where these frames lie in the middle of their range, so that as little as possible has to be moved.
        """
        times = self.recording.times
        chosen = np.unique(np.linspace(0, times - 1, min(times, TEMPLATE_FRAMES)).astype(int))
        image = self._frame(chosen[len(chosen) // 2], channel)
        for _ in range(ROUNDS):
            template = Template(image, max_shift=self._max_shift)
            total = np.zeros(self.recording.shape)
            shifts = []
            for time in chosen:
                frame = self._frame(time, channel)
                shifts.append(template.find(frame).shift)
                total += translated(frame, shifts[-1])
            image = translated((total / len(chosen)).astype(np.float32), -np.median(shifts, axis=0))
        return image

    def _frame(self, time: int, channel: int) -> Array:
        frame: Array = self.recording.block(time, time + 1)[0, channel].astype(np.float32)
        return frame


def _registered(block: Array, templates: list[Template], *, counted: int) -> Means:
    """The shifts of a block's frames, and the sum of its first `counted` ones, moved back."""
    shifts = np.empty((len(block), CHANNELS, 2), np.float32)
    likeness = np.empty((len(block), CHANNELS), np.float32)
    total = np.zeros((CHANNELS, *block.shape[2:]))
    for channel, template in enumerate(templates):
        for index in range(len(block)):
            frame = block[index, channel].astype(np.float32)
            found = template.find(frame)
            shifts[index, channel], likeness[index, channel] = found.shift, found.likeness
            if index < counted:
                total[channel] += translated(frame, found.shift)
    return Means(shifts=shifts, likeness=likeness, total=total)
