from __future__ import annotations

from collections.abc import Callable
from math import exp, isfinite
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocaas.cost import NOTHING, Interval, Run, fit

GB = 10**9

_runs = st.lists(
    st.builds(
        Run,
        input_bytes=st.one_of(st.integers(0, 10**13), st.sampled_from([0, 1, GB, GB + 1])),
        seconds=st.floats(0.01, 10**7),
    ),
    min_size=3,
    max_size=40,
)
_asked = st.integers(0, 10**14)


def _spread_sizes(random: Random) -> int:
    return int(GB * 10 ** random.uniform(-1, 0.5))


def _run(random: Random, input_bytes: int, *, start: float, sigma: float) -> Run:
    """The truth of these simulations: a start-up, 100 seconds a gigabyte, and lognormal noise."""
    seconds = (start + 100 * input_bytes / GB) * exp(random.gauss(0, sigma))
    return Run(input_bytes=input_bytes, seconds=seconds)


def _coverage(
    runs: int,
    sigma: float,
    *,
    trials: int,
    learn: Callable[[Random], int] = _spread_sizes,
    ask: Callable[[Random], int] | None = None,
    odd: int = 0,
) -> float:
    """How often a new run ends within the interval told from `runs` others, `odd` of them 50 times slower."""
    random = Random(f"{runs} {sigma}")
    held = 0
    for trial in range(trials):
        start = (0.0, 10.0, 100.0, 1000.0)[trial % 4]
        past = [_run(random, learn(random), start=start, sigma=sigma) for _ in range(runs)]
        past[:odd] = [Run(input_bytes=run.input_bytes, seconds=50 * run.seconds) for run in past[:odd]]
        forecast = fit(past)
        assert forecast is not None
        new = _run(random, (ask or learn)(random), start=start, sigma=sigma)
        interval = forecast.predict(new.input_bytes)
        held += interval.low <= new.seconds <= interval.high
    print(f"{runs} runs, noise {sigma}: {held / trials:.3f} of {trials} within")
    return held / trials


@pytest.mark.parametrize("sigma", [0.05, 0.2, 0.5])
@pytest.mark.parametrize(("runs", "trials"), [(5, 500), (10, 400), (30, 250), (100, 120)])
def test_four_of_five_new_runs_end_within_the_interval(runs: int, trials: int, sigma: float) -> None:
    assert 0.72 <= _coverage(runs, sigma, trials=trials) <= 0.95


@pytest.mark.parametrize("sigma", [0.05, 0.5])
@pytest.mark.parametrize("runs", [3, 4])
def test_a_few_runs_give_an_interval_wide_enough(runs: int, sigma: float) -> None:
    assert _coverage(runs, sigma, trials=500) >= 0.7


@pytest.mark.parametrize("runs", [3, 6, 20])
def test_runs_of_one_size_give_the_spread_of_their_times(runs: int) -> None:
    assert 0.7 <= _coverage(runs, 0.2, trials=400, learn=lambda _: GB) <= 0.95


@pytest.mark.parametrize("runs", [5, 30])
def test_the_interval_also_holds_ten_times_beyond_what_was_seen(runs: int) -> None:
    narrow = {"learn": lambda random: int(GB * random.uniform(0.5, 1.5)), "ask": lambda _: 10 * GB}
    assert _coverage(runs, 0.2, trials=250, **narrow) >= 0.72  # type: ignore[arg-type]


@pytest.mark.parametrize("runs", [6, 12, 50])
def test_one_run_50_times_slower_neither_moves_nor_stretches_the_forecast(runs: int) -> None:
    random = Random(runs)
    clean = [_run(random, _spread_sizes(random), start=10, sigma=0.1) for _ in range(runs)]
    for at in (0, runs // 2, runs - 1):
        odd = list(clean)
        odd[at] = Run(input_bytes=odd[at].input_bytes, seconds=50 * odd[at].seconds)
        before, after = fit(clean), fit(odd)
        assert before is not None
        assert after is not None
        was, now = before.predict(GB), after.predict(GB)
        assert now.expected == pytest.approx(was.expected, rel=0.12)
        assert now.high / now.low < 2 * was.high / was.low


@pytest.mark.parametrize("runs", [6, 12])
def test_a_run_50_times_slower_leaves_the_coverage_as_it_is(runs: int) -> None:
    assert 0.72 <= _coverage(runs, 0.2, trials=300, odd=1) <= 0.97


def test_start_up_and_throughput_are_found() -> None:
    sizes = [GB // 10, GB // 2, GB, 2 * GB, 5 * GB]
    forecast = fit([Run(input_bytes=size, seconds=30 + 100 * size / GB) for size in sizes])
    assert forecast is not None
    assert forecast.predict(0).expected == pytest.approx(30, rel=1e-3)
    assert forecast.predict(3 * GB).expected == pytest.approx(330, rel=1e-3)
    assert forecast.predict(50 * GB).expected == pytest.approx(5030, rel=1e-3)


def test_more_bytes_never_take_less_time_even_if_chance_says_so() -> None:
    forecast = fit([Run(input_bytes=size * GB, seconds=100 - size) for size in range(1, 20)])
    assert forecast is not None
    assert forecast.predict(50 * GB).expected >= forecast.predict(GB).expected > 0


def test_runs_of_one_size_do_not_tell_whether_more_bytes_take_longer() -> None:
    forecast = fit([Run(input_bytes=GB, seconds=seconds) for seconds in (90, 100, 110)])
    assert forecast is not None
    here, far = forecast.predict(GB), forecast.predict(10 * GB)
    assert far.expected == here.expected == pytest.approx(100, rel=0.01)
    assert (far.low, far.high) == pytest.approx((here.low, 10 * here.high))


def test_without_three_runs_there_is_no_forecast() -> None:
    runs = [Run(input_bytes=GB, seconds=1), Run(input_bytes=2 * GB, seconds=2)]
    assert fit([]) is None
    assert fit(runs) is None
    assert fit([*runs, runs[0]]) is not None


def test_only_the_newest_200_runs_count() -> None:
    old = [Run(input_bytes=GB, seconds=1000)] * 300
    new = [Run(input_bytes=GB, seconds=10)] * 200
    forecast = fit([*old, *new])
    assert forecast is not None
    assert forecast.runs == 200
    assert forecast.predict(GB).high < 11


def test_a_forecast_says_what_it_rests_on() -> None:
    def told(*sizes: int) -> str:
        forecast = fit([Run(input_bytes=size, seconds=1) for size in sizes])
        assert forecast is not None
        return forecast.describe()

    assert told(GB // 10, GB, 23 * GB // 10) == "from 3 runs of 0.1 to 2.3 GB"
    assert told(12 * 10**6, GB, 2 * GB, 2 * GB) == "from 4 runs of 12.0 MB to 2.0 GB"
    assert told(GB, GB + 1, GB) == "from 3 runs of 1.0 GB"
    assert told(0, GB, GB) == "from 3 runs of 0 B to 1.0 GB"
    assert told(0, 0, 0) == "from 3 runs of 0 B"


def test_a_size_outside_what_was_seen_is_said_to_be_a_guess() -> None:
    forecast = fit([Run(input_bytes=size * GB, seconds=size) for size in (1, 2, 3)])
    assert forecast is not None
    assert [forecast.extrapolates(size) for size in (GB // 2, GB, 3 * GB + 1, 4 * GB)] == [True, False, False, True]
    assert forecast.describe([2 * GB]) == "from 3 runs of 1.0 to 3.0 GB"
    guess = "from 3 runs of 1.0 to 3.0 GB; 40.0 GB is outside of that, so this is a guess"
    assert forecast.describe([2 * GB, 40 * GB]) == guess


@given(_runs, _asked)
def test_an_interval_is_finite_and_in_order(runs: list[Run], asked: int) -> None:
    forecast = fit(runs)
    assert forecast is not None
    interval = forecast.predict(asked)
    assert 0 <= interval.low <= interval.expected <= interval.high
    assert isfinite(interval.high)


@settings(max_examples=50)
@given(_runs, _asked, st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(runs: list[Run], asked: int, random: Random) -> None:
    shuffled = list(runs)
    random.shuffle(shuffled)
    one, other = fit(runs), fit(shuffled)
    assert one is not None
    assert other is not None
    assert one.predict(asked) == other.predict(asked)


# Powers of two scale without rounding, so that what is asked is the method's doing and not the arithmetic's.
@settings(max_examples=50)
@given(_runs, _asked, st.integers(-3, 10))
def test_a_machine_that_is_slower_by_a_factor_moves_all_by_that_factor(runs: list[Run], asked: int, power: int) -> None:
    slower = [Run(input_bytes=run.input_bytes, seconds=run.seconds * 2.0**power) for run in runs]
    one, other = fit(runs), fit(slower)
    assert one is not None
    assert other is not None
    was, now = one.predict(asked) * 2.0**power, other.predict(asked)
    assert (now.expected, now.low, now.high) == pytest.approx((was.expected, was.low, was.high), rel=1e-4)


def test_intervals_add_end_to_end_and_scale_to_dollars() -> None:
    stack = Interval(expected=10, low=8, high=15)
    assert sum([stack, stack], NOTHING) == Interval(expected=20, low=16, high=30)
    assert 0.5 * stack == stack * 0.5 == Interval(expected=5, low=4, high=7.5)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_run_of_no_possible_length_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds; a finite number"):
        Run(input_bytes=1, seconds=seconds)


def test_a_run_of_less_than_no_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 input bytes"):
        Run(input_bytes=-1, seconds=1)


def test_an_interval_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more and rising is right"):
        Interval(expected=1, low=2, high=3)
