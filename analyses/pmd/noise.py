"""How much of a time course or of a map is noise, as Buchanan et al. (2018) estimate it.

In time: the mean of Welch's power spectrum between a quarter and a half of the sampling rate, where signals have faded
and white noise has not. In space: the lower quartile of the squared differences from a 5 x 5 mean.
"""

from __future__ import annotations

import numpy as np
from recording import Array
from scipy.fft import rfft
from scipy.ndimage import uniform_filter

WINDOW = 256  # frames
FEWEST_FRAMES = 16  # below them no spectrum


def temporal_noise(courses: Array) -> Array:
    """Noise variance of each time course. courses: (..., T). Returns (...)."""
    frames = courses.shape[-1]
    length = min(WINDOW, frames)
    taper = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(courses.dtype)
    starts = range(0, frames - length + 1, max(1, length // 2))
    band = slice(length // 4 + 1, (length + 1) // 2)  # without half the sampling rate itself
    power = np.zeros(courses.shape[:-1])
    for start in starts:
        segment = courses[..., start : start + length]
        segment = (segment - segment.mean(axis=-1, keepdims=True)) * taper
        spectrum = rfft(segment, axis=-1)[..., band]
        power += np.mean(spectrum.real**2 + spectrum.imag**2, axis=-1)
    return power / (len(starts) * float(np.sum(taper.astype(float) ** 2)))


def spatial_noise(image: Array) -> float:
    """The noise variance (a tenth of it, were the noise white) that a map (h, w) is denoised by.

    The lower quartile is on the safe side: with the full variance a map of nothing but noise would come out flat, and
    the roughness of noise could no longer be told from that of signals.
    """
    left = image - uniform_filter(image, 5, mode="reflect")
    return float(np.quantile(left * left, 0.25))
