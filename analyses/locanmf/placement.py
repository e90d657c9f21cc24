"""Similarity transforms of the plane, from an atlas' millimetres to an image's pixels. Points are complex numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The similarity transform w = turn * z + shift (or of z's mirror image) from millimetres to pixels.

    Pixel (row 0, column 0) has its centre at 0 + 0i; x runs along columns, y along rows.
    """

    turn: complex  # its modulus is the scale in pixels per millimetre
    shift: complex
    mirrored: bool = False
    rms_px: float | None = None  # of the landmarks; None without them

    @property
    def pixels_per_mm(self) -> float:
        return abs(self.turn)

    def __call__(self, points: Array) -> Array:
        return self.turn * (np.conj(points) if self.mirrored else points) + self.shift


def nearest_similarity(source: Array, target: Array) -> Placement:
    """Of the transforms with and without a mirror image the one that leaves the smaller error.

    Whether there is a mirror image shows only in points that do not lie on one line; otherwise there is none.
    """
    straight = fit_similarity(source, target)
    if _on_one_line(source) or _on_one_line(target):
        return straight
    turned = fit_similarity(source, target, mirrored=True)
    return min(straight, turned, key=lambda one: one.rms_px or 0.0)


def fit_similarity(source: Array, target: Array, *, mirrored: bool = False) -> Placement:
    """The scale, rotation and shift that bring `source` nearest to `target`; both (N,) complex, N at least 2."""
    start = np.conj(source) if mirrored else source
    centred = start - start.mean()
    turn = complex(np.vdot(centred, target - target.mean()) / np.vdot(centred, centred).real)
    shift = complex(target.mean() - turn * start.mean())
    placement = Placement(turn=turn, shift=shift, mirrored=mirrored)
    rms_px = float(np.sqrt(np.mean(np.abs(placement(source) - target) ** 2)))
    return replace(placement, rms_px=rms_px)


def _on_one_line(points: Array) -> bool:
    """Whether the points' spread across their main direction is below 5 % of that along it."""
    centred = points - points.mean()
    spread = np.linalg.svd(np.column_stack([centred.real, centred.imag]), compute_uv=False)
    return len(points) < 3 or bool(spread[1] < 0.05 * spread[0])
