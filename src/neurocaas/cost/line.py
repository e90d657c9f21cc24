"""Seconds as a start-up time and a time per byte, fitted so that a few odd runs do not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, fsum, log, sqrt
from statistics import median
from typing import NamedTuple

# What the coarse search tries: the part of a middling run's time that goes with its bytes.
_SHARES = (0.0, *(1 / (1 + 10 ** (-k / 4)) for k in range(-10, 11)), 1.0)
_TIE = 1e-9  # among shapes as good as each other the first is taken, not the one that rounding favours
_STEPS = 20  # of refinement at most; about five are needed
_SETTLED = 1e-6  # relative
_ODD = 6.0  # spreads away from the line, a run weighs nothing (Tukey's bisquare)
_KEPT = 0.892  # of the variance of normal noise, when it is weighed so
_NORMAL = 0.6745  # the median of the absolute values of standard normal noise
_LEAST_SPREAD = 0.01  # nothing on a computer takes the same time to better than a percent
_LEAST_START = 0.01  # of the fastest run: a program takes time to start, and a line above 0 has a logarithm
_SAME_SIZE = 1e-9  # of the squared sizes: sizes that differ less do not tell a slope


class Line(NamedTuple):
    """seconds = start + slope * size. start: above 0; slope: at least 0."""

    start: float
    slope: float

    def at(self, size: float) -> float:
        return self.start + self.slope * size

    def times(self, factor: float) -> Line:
        return Line(self.start * factor, self.slope * factor)


class _Moments(NamedTuple):
    """Weighted sums over runs: of 1, size, size squared; and of seconds above the least start, bare and by size."""

    one: float
    size: float
    square: float
    seconds: float
    product: float

    @property
    def tells_slope(self) -> bool:
        return self._determinant > _SAME_SIZE * self.one * self.square

    @property
    def _determinant(self) -> float:
        return self.one * self.square - self.size * self.size

    def solve(self, least_start: float) -> Line:
        """The line of least squares among those with start >= least_start and slope >= 0."""
        start = slope = 0.0
        if self.tells_slope:
            start = (self.square * self.seconds - self.size * self.product) / self._determinant
            slope = (self.one * self.product - self.size * self.seconds) / self._determinant
        if start < 0 <= slope:
            return Line(least_start, max(0.0, self.product / self.square))
        if slope <= 0:
            return Line(least_start + max(0.0, self.seconds / self.one), 0.0)
        return Line(least_start + start, slope)

    def variance(self, size: float) -> float:
        """Of the fitted line at this size, in units of the variance of a run that weighs 1."""
        if not self.tells_slope:
            return 1 / self.one
        return (self.square - 2 * size * self.size + size * size * self.one) / self._determinant


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The line through all runs, and how far new runs may be from it.

    lows, highs: for each run, the line that the others give, over and times the factor by which it misses that run.
    spread: standard deviation of the logarithm of seconds around the line, odd runs left out.
    fitted: how many numbers were fitted; 1 if the sizes do not differ, since then they tell no slope.
    """

    line: Line
    lows: tuple[Line, ...]
    highs: tuple[Line, ...]
    spread: float
    fitted: int
    moments: _Moments

    def deviation(self, size: float) -> float:
        """Standard deviation of the logarithm of a new run's seconds: its own noise, and what the line may be off."""
        return self.spread * sqrt(1 + self.moments.variance(size) / self.line.at(size) ** 2)


def fit_line(sizes: Sequence[float], seconds: Sequence[float]) -> Fit:
    """Fit by logarithms, since what slows a run slows it by a factor. At least 3 runs, seconds above 0.

    An MM-estimator (Yohai 1987, doi 10.1214/aos/1176350366): a coarse line of least absolute error, its spread, then
    Gauss-Newton steps with Tukey's bisquare at that spread. A run 50 times slower weighs nothing. The line without a
    run is one such step from the moments of all others. Linear in the number of runs but for a sort.
    """
    logs = [log(y) for y in seconds]
    least_start = _LEAST_START * min(seconds)
    line = _coarse(sizes, logs, least_start)
    fitted = 1 if min(sizes) == max(sizes) else 2
    spread = _coarse_spread(_errors(line, sizes, logs), fitted)
    for _ in range(_STEPS):
        before, line = line, _better(line, sizes, logs, spread, least_start)
        if all(abs(now - then) <= _SETTLED * now for now, then in zip(line, before, strict=True)):
            break

    errors = _errors(line, sizes, logs)
    points = _points(line, sizes, errors, spread, least_start)
    weights = [_weight(error / spread) for error in errors]
    squares = fsum(w * e * e for w, e in zip(weights, errors, strict=True))
    freedom = max(fsum(weights) - fitted, 0.5)
    without = [moments.solve(least_start) if moments.one else line for moments in _without_each(points)]
    misses = [exp(abs(at - log(other.at(x)))) for at, other, x in zip(logs, without, sizes, strict=True)]
    return Fit(
        line=line,
        lows=tuple(other.times(1 / miss) for other, miss in zip(without, misses, strict=True)),
        highs=tuple(other.times(miss) for other, miss in zip(without, misses, strict=True)),
        spread=max(sqrt(squares / freedom / _KEPT), _LEAST_SPREAD),
        fitted=fitted,
        moments=_total(points),
    )


def _coarse(sizes: Sequence[float], logs: Sequence[float], least_start: float) -> Line:
    """The best of a few shapes, each at the height that leaves half of the runs above it."""
    middle = fsum(sizes) / len(sizes) or 1.0
    best, line = float("inf"), Line(least_start, 0.0)
    for share in _SHARES if min(sizes) < max(sizes) else (0.0,):
        shape = Line(1 - share, share / middle)
        if shape.at(min(sizes)) <= 0:
            continue
        errors = _errors(shape, sizes, logs)
        height = median(errors)
        total = fsum(abs(error - height) for error in errors)
        if total + _TIE < best:
            best, line = total, shape.times(exp(height))
    return Line(max(line.start, least_start), line.slope)


def _errors(line: Line, sizes: Sequence[float], logs: Sequence[float]) -> list[float]:
    start, slope = line
    return [at - log(start + slope * x) for at, x in zip(logs, sizes, strict=True)]


def _coarse_spread(errors: Sequence[float], fitted: int) -> float:
    """From the median absolute error. The coarse line runs through as many runs as were fitted: they say nothing."""
    return max(median(sorted(map(abs, errors))[fitted:]) / _NORMAL, _LEAST_SPREAD)


def _better(line: Line, sizes: Sequence[float], logs: Sequence[float], spread: float, least_start: float) -> Line:
    """One Gauss-Newton step, shortened until it does not make things worse."""

    def loss(of: Line) -> float:
        return fsum(_loss(error / spread) for error in _errors(of, sizes, logs))

    moments = _total(_points(line, sizes, _errors(line, sizes, logs), spread, least_start))
    if not moments.one:
        return line
    best, aim = loss(line), moments.solve(least_start)
    for step in (1.0, 0.5, 0.25, 0.1):
        there = Line(*(now + step * (then - now) for now, then in zip(line, aim, strict=True)))
        if loss(there) <= best:
            return there
    return line


def _points(
    line: Line, sizes: Sequence[float], errors: Sequence[float], spread: float, least_start: float
) -> list[_Moments]:
    """Each run's part of the moments; `seconds` as seen on the tangent of the logarithm at the line."""
    points = []
    for x, error in zip(sizes, errors, strict=True):
        at = line.at(x)
        weight = _weight(error / spread) / (at * at)
        seconds = weight * (at * (1 + error) - least_start)
        points.append(_Moments(weight, weight * x, weight * x * x, seconds, seconds * x))
    return points


def _weight(error: float) -> float:
    return (1 - (error / _ODD) ** 2) ** 2 if abs(error) < _ODD else 0.0


def _loss(error: float) -> float:
    return 1 - (1 - (error / _ODD) ** 2) ** 3 if abs(error) < _ODD else 1.0


def _add(one: _Moments, other: _Moments) -> _Moments:
    return _Moments(*(a + b for a, b in zip(one, other, strict=True)))


_NONE = _Moments(0.0, 0.0, 0.0, 0.0, 0.0)


def _total(points: Sequence[_Moments]) -> _Moments:
    return _Moments(*map(fsum, zip(*points, strict=True)))


def _without_each(points: Sequence[_Moments]) -> list[_Moments]:
    """The sum of all other points. Sums from both ends, since taking one that outweighs the rest away leaves noise."""
    before = accumulate(points, _add, initial=_NONE)
    after = list(accumulate(reversed(points), _add, initial=_NONE))
    return [_add(early, late) for early, late in zip(before, after[-2::-1], strict=False)]
