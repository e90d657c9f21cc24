"""How long a stack will take, told from past ones of the same analysis on the same kind of hardware."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, exp, isfinite

from neurocaas.cost.line import Fit, fit_line

COVERAGE = 0.8  # of new runs that end within their interval
FEWEST_RUNS = 3  # two runs lie on a line and tell nothing of how far the next may be from it
MOST_RUNS = 200  # the newest: old ones tell of machines and versions that are gone

# From 9 runs on the jackknife+ quantile is not the farthest run, so that one odd run can not set the interval.
_ENOUGH_FOR_JACKKNIFE = 9
# Two-sided 80 % quantiles of Student's t with 1, 2, ... degrees of freedom; beyond them that of the normal.
_STUDENT = (3.0777, 1.8856, 1.6377, 1.5332, 1.4759, 1.4398, 1.4149, 1.3968, 1.3830, 1.3722, 1.3634, 1.3562)
_NORMAL = 1.2816
_WIDEST = 14.0  # in logarithms, a factor of a million: nothing is known
_SHORTEST_SECONDS = 0.001  # what a clock around a process can tell; has a logarithm, as 0 has not
_BEYOND = 1.1  # a size a tenth outside those seen is as good as seen
_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3), ("B", 1))


@dataclass(frozen=True, kw_only=True)
class Run:
    """One past stack on one kind of hardware: the bytes it was given, the seconds its instance was kept."""

    input_bytes: int
    seconds: float

    def __post_init__(self) -> None:
        if self.input_bytes < 0:
            raise ValueError(f"a run has {self.input_bytes} input bytes; 0 or more are right")
        if not (isfinite(self.seconds) and self.seconds >= 0):
            raise ValueError(f"a run took {self.seconds} seconds; a finite number, 0 or more, is right")


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An expected amount, as likely too high as too low, and the ends that hold 80 % of what may come.

    Seconds, or dollars once scaled by a price. The ends of a sum are the sums of the ends: stacks of one analysis share
    what its forecast is off by, so their errors do not cancel. For stacks that do not, that is too wide, never too
    narrow.
    """

    expected: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.expected <= self.high:
            raise ValueError(f"an interval of {self.low}, {self.expected}, {self.high}; 0 or more and rising is right")

    def __add__(self, other: Interval) -> Interval:
        return Interval(expected=self.expected + other.expected, low=self.low + other.low, high=self.high + other.high)

    def __mul__(self, factor: float) -> Interval:
        return Interval(expected=self.expected * factor, low=self.low * factor, high=self.high * factor)

    __rmul__ = __mul__


NOTHING = Interval(expected=0.0, low=0.0, high=0.0)  # where sums begin


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What past runs tell of the next one. Made by `fit`."""

    runs: int
    smallest_bytes: int
    largest_bytes: int
    _fit: Fit

    def predict(self, input_bytes: int) -> Interval:
        """Seconds of a stack with this many input bytes. expected: half of such stacks take longer.

        With 9 runs or more the ends are those of the jackknife+ (Barber et al. 2021, doi 10.1214/20-AOS1965) by
        factors rather than differences. It asks nothing of the noise but that new runs be like the old ones. With
        fewer, the ends are Student's t on logarithms, which one odd run does not stretch as it stretches a quantile.
        """
        size = self._scaled(input_bytes)
        expected = self._fit.line.at(size)
        if self.extrapolates(input_bytes):
            low, high = self._far(input_bytes)
        else:
            low, high = self._near(size)
        return Interval(expected=expected, low=min(low, expected), high=max(high, expected))

    def extrapolates(self, input_bytes: int) -> bool:
        """Whether the size lies outside what was seen, by more than a tenth."""
        return not self.smallest_bytes / _BEYOND <= input_bytes <= self.largest_bytes * _BEYOND

    def describe(self, asked: Iterable[int] = ()) -> str:
        """What it rests on, as "from 12 runs of 0.1 to 2.3 GB". asked: input bytes, to be warned of those outside."""
        told = f"from {self.runs} runs of {_sizes(self.smallest_bytes, self.largest_bytes)}"
        outside = [size for size in asked if self.extrapolates(size)]
        if not outside:
            return told
        return f"{told}; {_sizes(min(outside), max(outside))} is outside of that, so this is a guess"

    def _near(self, size: float) -> tuple[float, float]:
        return self._jackknife(size) if self.runs >= _ENOUGH_FOR_JACKKNIFE else self._student(size)

    def _far(self, input_bytes: int) -> tuple[float, float]:
        """Outside of what was seen the line's own error counts most, and runs like those seen tell little of it.

        So Student's t, but within what is possible: with start-up and time per byte at least 0, more bytes take no less
        time, and at most in proportion. Runs of one size tell no more than that.
        """
        seen = min(max(input_bytes, self.smallest_bytes), self.largest_bytes)
        low, high = self._near(self._scaled(seen))
        growth = input_bytes / seen if seen else 1.0
        low, high = low * min(1.0, growth), high * max(1.0, growth)
        if not self._fit.moments.tells_slope:
            return low, high
        lower, upper = self._student(self._scaled(input_bytes))
        return max(low, lower), min(high, upper)

    def _jackknife(self, size: float) -> tuple[float, float]:
        rank = ceil(COVERAGE * (self.runs + 1))
        low = sorted([start + slope * size for start, slope in self._fit.lows])[self.runs - rank]
        return low, sorted([start + slope * size for start, slope in self._fit.highs])[rank - 1]

    def _student(self, size: float) -> tuple[float, float]:
        freedom = self.runs - self._fit.fitted
        quantile = _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else _NORMAL
        factor = exp(min(quantile * self._fit.deviation(size), _WIDEST))
        expected = self._fit.line.at(size)
        return expected / factor, expected * factor

    def _scaled(self, input_bytes: int) -> float:
        return input_bytes / (self.largest_bytes or 1)


def fit(runs: Sequence[Run]) -> Forecast | None:
    """Learn from runs of one analysis on one kind of hardware, oldest first; the newest 200 count.

    Returns None if they are fewer than 3. Their order among those 200 does not matter.
    """
    newest = sorted(runs[-MOST_RUNS:], key=lambda run: (run.input_bytes, run.seconds))
    if len(newest) < FEWEST_RUNS:
        return None
    largest = newest[-1].input_bytes
    found = fit_line(
        [run.input_bytes / (largest or 1) for run in newest], [max(run.seconds, _SHORTEST_SECONDS) for run in newest]
    )
    return Forecast(runs=len(newest), smallest_bytes=newest[0].input_bytes, largest_bytes=largest, _fit=found)


def _sizes(smallest: int, largest: int) -> str:
    unit, scale = _unit(largest)
    own, own_scale = _unit(smallest)
    if own != unit and smallest < scale / 10:
        return f"{_number(smallest, own_scale)} {own} to {_number(largest, scale)} {unit}"
    few, many = _number(smallest, scale), _number(largest, scale)
    return f"{many} {unit}" if few == many else f"{few} to {many} {unit}"


def _unit(size_bytes: int) -> tuple[str, int]:
    return next((one for one in _UNITS if size_bytes >= one[1]), _UNITS[-1])


def _number(size_bytes: int, scale: int) -> str:
    return f"{size_bytes / scale:.1f}" if scale > 1 else str(size_bytes)
