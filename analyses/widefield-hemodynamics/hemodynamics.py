"""Hemodynamic correction after Couto et al. 2021 (doi:10.1038/s41596-021-00527-z, step "hemodynamic correction").

Blood changes both channels, activity only the blue one. So violet, scaled pixel by pixel to fit blue best, is taken
off it. All of it happens on the low-rank form U V, never on the movie: the sums over time that a pixel's regression
needs are quadratic forms of its row of U.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from decomposed import Decomposed
from job import Failure
from scipy import signal

Array = np.ndarray[Any, Any]

ORDER = 2  # of the Butterworth filters, run forwards and backwards, as in wfield
PADDING = 50  # frames reflected at both ends before filtering, as in wfield
ROUNDING = 1e-20  # of the sum of squares of what was filtered; double precision leaves about 1e-30
NOTHING = 1e-12  # of the largest violet variance: a pixel with less has none


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The properties of parameters.schema.json."""

    sampling_rate_hz: float
    highpass_hz: float  # 0: none
    lowpass_hz: float  # of violet; 0: none
    violet_delay: float  # frames

    @property
    def smooths(self) -> bool:
        return 0 < self.lowpass_hz < self.sampling_rate_hz / 2

    def applied(self, data: Decomposed) -> tuple[Array, Array]:
        """Blue and violet (rank, times): violet at blue's times, without slow changes, violet smoothed, means zero."""
        blue, violet = data.blue, delayed(data.violet, self.violet_delay)
        if self.highpass_hz:
            blue, violet = (self._filtered(one, self.highpass_hz, "highpass") for one in (blue, violet))
        if self.smooths:
            violet = self._filtered(violet, self.lowpass_hz, "lowpass")
        return blue - blue.mean(axis=1, keepdims=True), violet - violet.mean(axis=1, keepdims=True)

    def _filtered(self, courses: Array, cutoff_hz: float, kind: str) -> Array:
        b, a = signal.butter(ORDER, cutoff_hz / (self.sampling_rate_hz / 2), btype=kind)
        filtered: Array = signal.filtfilt(b, a, courses, padlen=min(PADDING, courses.shape[1] - 2))
        return filtered


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """The result, and what the figure shows of the way there."""

    courses: Array  # (rank, times): U times this is the corrected movie, its mean over time zero
    coefficients: Array  # (height, width), violet's weight in blue
    transform: Array  # (rank, rank): takes violet's courses to what is taken off blue's
    explained: Array  # (height, width), share of blue's variance that was taken off, 0 to 1
    variance: Array  # (height, width), of blue as filtered, summed over time
    gram: Array  # (rank, rank), U'U
    blue: Array  # (rank, times) as filtered
    violet: Array  # (rank, times) as filtered


def delayed(courses: Array, frames: float) -> Array:
    """Courses that were sampled `frames` late, at the times when they should have been.

    By a shift of phase, which keeps a heart beat's height; a straight line between neighbours halves one at a third of
    the sampling rate. The course is mirrored at its ends, so that these do not meet. courses: (rank, times).
    """
    if not frames:
        return courses
    times = courses.shape[1]
    spectrum = np.fft.rfft(np.concatenate([courses, courses[:, ::-1]], axis=1), axis=1)
    spectrum *= np.exp(-2j * np.pi * np.fft.rfftfreq(2 * times) * frames)
    shifted: Array = np.fft.irfft(spectrum, 2 * times, axis=1)[:, :times]
    return shifted


def correct(data: Decomposed, filters: Filters) -> Corrected:
    """Two readings of the maps. Sums over time and pixels are in double precision."""
    blue, violet = filters.applied(data)
    if not _changes(blue, data.blue):
        raise Failure(
            f"The blue channel of {data.path.name} and its temporal components never changes; all of a recording's "
            "components are needed."
        )
    if not _changes(violet, data.violet):
        violet = np.zeros_like(violet)  # the rounding of a channel that stands still explains nothing
    across, within, alone = blue @ violet.T, violet @ violet.T, blue @ blue.T
    height, width, rank = data.shape
    cross, power, variance = (np.empty((height, width)) for _ in range(3))
    for rows, maps in data.strips():
        for target, form in ((cross, across), (power, within), (variance, alone)):
            target[rows] = np.einsum("pr,pr->p", maps @ form, maps).reshape(-1, width)
    if not variance.any():
        raise Failure(f"{data.path.name} is zero in every pixel; the maps of a recording are needed.")
    seen = power > NOTHING * power.max()
    coefficients = np.divide(cross, power, out=np.zeros_like(cross), where=seen)
    explained = np.divide(cross**2, power * variance, out=np.zeros_like(cross), where=seen & (variance > 0))

    # The least squares of the scaled maps onto the maps, U⁺ diag(coefficients) U, from sums over strips.
    gram, scaled = np.zeros((rank, rank)), np.zeros((rank, rank))
    for rows, maps in data.strips():
        gram += maps.T @ maps
        scaled += maps.T @ (coefficients[rows].reshape(-1, 1) * maps)
    transform = np.linalg.pinv(gram, rcond=1e-10, hermitian=True) @ scaled
    courses = blue - transform @ violet
    return Corrected(
        courses=courses - courses.mean(axis=1, keepdims=True),
        coefficients=coefficients,
        transform=transform,
        explained=np.clip(explained, 0, 1),
        variance=variance,
        gram=gram,
        blue=blue,
        violet=violet,
    )


def _changes(filtered: Array, given: Array) -> bool:
    """Whether a channel's courses hold more than the rounding of values that never change."""
    return bool(np.vdot(filtered, filtered) > ROUNDING * np.vdot(given, given))


@dataclass(frozen=True, kw_only=True)
class Spectra:
    """Power spectral densities, means over all pixels: of blue before and after, and of violet."""

    frequencies_hz: Array
    before: Array
    after: Array
    violet: Array

    HEART_HZ = (5.0, 15.0)  # of mice, awake or not
    HALF_WIDTH_HZ = 0.75

    @property
    def heart_hz(self) -> float | None:
        """Where violet's spectrum peaks in the range of heart beats; None where it has no clear peak there."""
        inside = (self.frequencies_hz > self.HEART_HZ[0]) & (self.frequencies_hz < self.HEART_HZ[1])
        if inside.sum() < 5:
            return None
        band = self.violet[inside]
        if band.max() < 3 * np.median(band) or band.argmax() in (0, len(band) - 1):
            return None
        return float(self.frequencies_hz[inside][band.argmax()])

    def left_at(self, frequency_hz: float) -> float:
        """Power after relative to before, around a frequency."""
        near = np.abs(self.frequencies_hz - frequency_hz) <= self.HALF_WIDTH_HZ
        return float(self.after[near].sum() / self.before[near].sum())


def spectra(data: Decomposed, corrected: Corrected, sampling_rate_hz: float) -> Spectra:
    """The mean over pixels of |U s|² is s' U'U s: a rotation of the courses has it as a sum over its rows."""
    values, vectors = np.linalg.eigh(corrected.gram / data.pixels)
    rotation = (vectors * np.sqrt(np.clip(values, 0, None))).T
    segment = min(data.blue.shape[1], int(8 * sampling_rate_hz))

    def density(courses: Array) -> tuple[Array, Array]:
        frequencies, power = signal.welch(rotation @ courses, sampling_rate_hz, nperseg=max(segment, 16), axis=1)
        return frequencies, power.sum(axis=0)

    frequencies, before = density(corrected.blue)
    return Spectra(
        frequencies_hz=frequencies,
        before=before,
        after=density(corrected.courses)[1],
        violet=density(corrected.violet)[1],
    )
