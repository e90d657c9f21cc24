"""Budgets, prices, quotes, cancelling and retrying, by the command line on this machine."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from support.sites import NEUROCAAS, TestSite, kill, until

QUICK = 'cat "$NEUROCAAS_INPUT_DATA" > "$NEUROCAAS_RESULTS/out.txt"'
SLOW = "sleep 60"


@pytest.fixture
def priced(local_site: TestSite) -> TestSite:
    """An hour of an instance costs $12, and a stack of `quick` may take five minutes, once: it holds $1 at most."""
    local_site.price("12")
    local_site.analysis("quick", QUICK, limits={"timeout_minutes": 5, "attempts": 1})
    local_site.analysis("slow", SLOW, limits={"timeout_minutes": 5, "attempts": 1})
    return local_site


def _balances(site: TestSite) -> dict[str, dict[str, float]]:
    return {
        one["account"].split()[0]: {
            name.removesuffix("_dollars"): float(value) for name, value in one.items() if name != "account"
        }
        for one in site("budget", "--json").json
    }


def test_what_is_used_is_charged_and_the_rest_released(priced: TestSite) -> None:
    assert _balances(priced)["group"] == {"budget": 300, "held": 0, "spent": 0, "left": 300}
    answer = priced("run", "quick", *priced.data(2))
    assert "at most $2.00, which is held until it ends" in answer.err
    assert "Budget left: $300.00 of $300.00 for" in answer.err
    balances = _balances(priced)
    assert balances["group"]["held"] == 0
    assert 0 < balances["group"]["spent"] < 1
    assert balances["user"]["spent"] == balances["group"]["spent"]
    priced("run", "quick", *priced.data(2))  # answered from the first, so it costs nothing
    assert _balances(priced) == balances


def test_a_job_that_may_cost_more_than_is_left_is_refused_and_goes_through_once_the_budget_is_raised(
    priced: TestSite,
) -> None:
    priced("budget", "set", "1.5")
    assert json.loads((priced.root / "groups" / "local.json").read_text())["budget_dollars"] == "1.5"
    assert priced.git("log", "-1", "--format=%s") == "Set the budget of group local to $1.5"
    refused = priced("run", "quick", *priced.data(2), expect=2).err
    assert "the job may cost up to $2.00, and group local has $1.50 of $1.50 left" in refused
    assert priced("jobs", "--json").json == []
    priced("run", "quick", *priced.data(2), "--minutes", "3")
    priced("budget", "set", "100")
    priced("run", "quick", *priced.data(2), "--fresh")
    priced("budget", "set", "0.5", "--user", "nobody-else")
    assert priced("budget", "set", "much", expect=2).err.startswith("error: DOLLARS: found 'much'")


def test_two_submissions_at_the_same_instant_can_not_both_take_the_last_dollar(priced: TestSite) -> None:
    priced("budget", "set", "1")
    [data] = priced.data(1)
    command = [NEUROCAAS, "--site", priced.root, "submit", "slow", data, "--fresh", "--json"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert sorted(one.wait(60) for one in both) == [0, 2]
    [job] = priced("jobs", "--json").json
    priced("cancel", job["job"])
    priced.wait(job["job"])


def test_cancelling_gives_everything_back_within_seconds(priced: TestSite) -> None:
    job = priced("submit", "slow", *priced.data(5)).out.strip()
    until(lambda: priced("show", job, "--json").json["status"] == "running")
    assert _balances(priced)["group"]["held"] == 5
    priced("cancel", job)
    cancelled = datetime.now(UTC)
    ended = priced.wait(job)
    assert ended["status"] == "cancelled"
    assert datetime.fromisoformat(ended["ended_at"]) - cancelled < timedelta(seconds=8)
    balances = _balances(priced)["group"]
    assert balances["held"] == 0
    assert balances["spent"] < 0.5


def test_a_retry_runs_what_failed_and_nothing_else(priced: TestSite) -> None:
    data = priced.data(3)
    script = f'grep -q "dataset 1" "$NEUROCAAS_INPUT_DATA" && sleep 30\n{QUICK}'
    priced.analysis("fragile", script, limits={"timeout_minutes": 5, "attempts": 1})
    job = priced("submit", "fragile", *data).out.strip()

    def only_the_fragile_one_is_left() -> bool:
        stacks = priced("show", job, "--json").json["stacks"]
        return [one["status"] for one in stacks] == ["succeeded", "running", "succeeded"]

    until(only_the_fragile_one_is_left)
    state = priced.root / ".neurocaas"
    [runner] = state.glob("work/*/runner.json")
    kill(json.loads(runner.read_text())["pid"])
    ended = priced.wait(job)
    assert (ended["status"], ended["reason"]) == ("failed", "INSTANCE_LOST")
    assert "neurocaas retry" in ended["stacks"][1]["remedy"]

    again = priced("retry", job, "--detach", "--json").json
    assert again["retry_of"] == job
    priced("cancel", again["job"])
    described = priced.wait(again["job"])
    assert [one["reused_from"] is not None for one in described["stacks"]] == [True, False, True]
    assert described["status"] == "cancelled"
    everything = priced("run", "quick", *data, "--json").json
    assert "there is nothing to run again" in priced("retry", everything["job"], expect=2).err


def test_a_quote_is_fitted_on_what_ran_here(priced: TestSite) -> None:
    data = priced.data(4)
    first = priced("quote", "quick", *data, "--json").json
    assert (first["seconds"], first["bound_dollars"]) == (None, "4")
    priced("run", "quick", *data)
    second = priced("quote", "quick", *data, "--fresh", "--json").json
    expected, low, high = second["seconds"]
    assert 0 < low <= expected <= high < 60
    [step] = second["steps"]
    assert step["history"].startswith("from 4 runs of")
    assert step["considered"][0] == {"instance_type": "local", "taken": True, "why": step["considered"][0]["why"]}
    assert second["dollars"][1] <= second["dollars"][0] <= second["dollars"][2] < 4
    text = priced("quote", "quick", *data, "--fresh").out
    assert "Instance types considered for quick" in text
    assert "aws " in text


def test_the_save_price_is_for_runs_that_are_bounded(priced: TestSite) -> None:
    [data] = priced.data(1)
    assert "--minutes with the longest" in priced("run", "quick", data, "--save", expect=2).err
    answer = priced("run", "quick", data, "--save", "--minutes", "2")
    assert "The save price is not offered for these instances" in answer.err
    too_long = priced("run", "quick", data, "--minutes", "6", expect=2).err
    assert "minutes: found 6; at most 5, the analysis' own limit, is right." in too_long
    assert priced("run", "slow", data, "--minutes", "0.02", "--json", expect=1).json["reason"] == "TIMED_OUT"
