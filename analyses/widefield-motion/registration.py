"""Rigid registration of frames to a template: where each frame's content lies relative to it, in parts of a pixel.

Brightness must not pass for motion: the cortex flickers, blood pulses, lamps drift. So what is compared is local
contrast, the texture of vessels, and not brightness. A cross-correlation finds the nearest pixel; from there, least
squares in the shift and in gain and offset find the rest (Lucas & Kanade 1981, in the inverse compositional form of
Baker & Matthews 2004, doi:10.1023/B:VISI.0000011205.11775.fd, with the gain of Evangelidis & Psarakis 2008,
doi:10.1109/TPAMI.2008.113, which wfield's "ecc" mode maximises).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft, ndimage

Array = np.ndarray[Any, Any]

FINE, COARSE = 1.5, 6.0  # pixels: the contrast of structures between these two widths is compared
DARK = 0.1  # of the median brightness: what is darker than this has little contrast by decree, not much by noise
SIDE = 200  # pixels: frames with a larger shorter side are compared at half, a third ... of their resolution
STEPS = 4  # of least squares; one more changes less than 0.001 px
SETTLED = 2e-3  # pixels: a step smaller than this is the last
MARGIN = 0.12  # of a side: over this the weight of pixels falls to 0 at the edges


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where a frame's content lies relative to the template, and how alike the two are once that is undone."""

    shift: Array  # (2,) down and to the right, pixels
    likeness: float  # correlation of local contrast, at most 1


class Template:
    """The image of one channel to which its frames are registered."""

    def __init__(self, image: Array, *, max_shift: float) -> None:
        """image: (height, width). max_shift: pixels, in either direction."""
        self.bin = max(1, round(min(image.shape) / SIDE))
        small = _binned(image, self.bin)
        self._dark = float(max(DARK * np.median(small), 1e-6))
        self._reach = min(max(1, int(np.ceil(max_shift / self.bin))), min(small.shape) // 2 - 1)
        self._contrast = self._contrast_of(small)
        self._weight = np.outer(*(_falling(side) for side in small.shape)).astype(np.float32)
        self._size = tuple(fft.next_fast_len(side + self._reach, real=True) for side in small.shape)
        self._spectrum = np.conj(fft.rfft2(self._contrast * self._weight, self._size))
        rows, columns = np.gradient(self._contrast)
        basis = np.stack([self._contrast, np.ones_like(self._contrast), rows, columns]).reshape(4, -1)
        weighted = basis * self._weight.reshape(-1)
        self._solve = (np.linalg.pinv((weighted @ basis.T).astype(np.float64)) @ weighted).astype(np.float32)

    def find(self, frame: Array) -> Found:
        """frame: (height, width), of the template's size."""
        contrast = self._contrast_of(_binned(frame, self.bin))
        nearest = self._nearest_pixel(contrast)
        shift = nearest.copy()
        for _ in range(STEPS):
            moved = translated(contrast, shift)
            gain, _, down, right = self._solve @ moved.reshape(-1)
            step = np.array([down, right]) / gain if gain > 0 else np.full(2, np.inf)
            if not (np.abs(shift - step - nearest) < 2).all():  # it ran away from the nearest pixel: no texture there
                shift = nearest
                break
            shift = shift - step
            if np.abs(step).max() < SETTLED:
                break
        return Found(shift=shift * self.bin, likeness=self._likeness(translated(contrast, shift)))

    def _contrast_of(self, image: Array) -> Array:
        """How much brighter a place is than its surroundings, relative to these."""
        fine, coarse = (ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=3) for sigma in (FINE, COARSE))
        contrast: Array = (fine - coarse) / np.maximum(coarse, self._dark)
        return contrast

    def _nearest_pixel(self, contrast: Array) -> Array:
        """The peak of the cross-correlation, within reach; no shift where nothing correlates, as without light."""
        spectrum = fft.rfft2(contrast * self._weight, self._size) * self._spectrum
        correlation = fft.irfft2(spectrum, self._size)
        near = np.arange(-self._reach, self._reach + 1)
        around = correlation[np.ix_(near % self._size[0], near % self._size[1])]
        peak = np.unravel_index(np.argmax(around), around.shape)
        if around[peak] <= 0:
            return np.zeros(2)
        return np.array([near[peak[0]], near[peak[1]]], float)

    def _likeness(self, moved: Array) -> float:
        a, b = (one - np.average(one, weights=self._weight) for one in (self._contrast, moved))
        norm = np.sqrt((self._weight * a * a).sum() * (self._weight * b * b).sum())
        return float((self._weight * a * b).sum() / norm) if norm > 0 else 0.0


def translated(image: Array, shift: Array) -> Array:
    """The image whose content lies `shift` (down, right; pixels) elsewhere, moved back by cubic convolution (Keys 1981,
    doi:10.1109/TASSP.1981.1163711). image: (height, width) float32. What comes in from outside repeats the edge."""
    for axis in (0, 1):
        image = _translated_along(image, float(shift[axis]), axis)
    return image


def _translated_along(image: Array, shift: float, axis: int) -> Array:
    whole = int(np.floor(shift))
    part = shift - whole
    side = image.shape[axis]
    if abs(part) < 1e-6:
        taps = {0: 1.0}
    else:
        taps = {
            -1: ((2 - part) * part - 1) * part / 2,
            0: ((3 * part - 5) * part**2 + 2) / 2,
            1: ((4 - 3 * part) * part + 1) * part / 2,
            2: (part - 1) * part**2 / 2,
        }
    before = max(0, 1 - whole)
    padded = _padded(image, before, max(0, whole + 2), axis)
    moved = np.zeros_like(image)
    for tap, weight in taps.items():
        start = before + whole + tap
        part_of = padded[start : start + side] if axis == 0 else padded[:, start : start + side]
        moved += np.float32(weight) * part_of
    return moved


def _padded(image: Array, before: int, after: int, axis: int) -> Array:
    """The image with its edge repeated at both ends of one axis. numpy.pad does it too, at ten times the cost."""
    shape = list(image.shape)
    shape[axis] += before + after
    padded = np.empty(shape, image.dtype)
    inner, out = (image, padded) if axis == 0 else (image.T, padded.T)
    out[:before], out[before : before + len(inner)], out[before + len(inner) :] = inner[0], inner, inner[-1]
    return padded


def _binned(image: Array, pixels: int) -> Array:
    """(height, width) float32, averaged over squares; rows and columns left over are dropped."""
    if pixels == 1:
        return image.astype(np.float32)
    height, width = (side // pixels for side in image.shape)
    inside = image[: height * pixels, : width * pixels]
    binned = np.zeros((height, width), np.float32)
    for row in range(pixels):  # several times as fast as a mean over two axes
        for column in range(pixels):
            binned += inside[row::pixels, column::pixels]
    return binned / pixels**2


def _falling(side: int) -> Array:
    """Weights along one side: 1 within, falling to 0 at the edges as a cosine."""
    ramp = max(2, round(MARGIN * side))
    distance = np.minimum(np.arange(side), np.arange(side)[::-1])
    weights: Array = 0.5 - 0.5 * np.cos(np.pi * np.clip(distance / ramp, 0, 1))
    return weights
