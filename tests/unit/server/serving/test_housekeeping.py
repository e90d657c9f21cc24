"""Chores are done when due or named, never twice at once, and one that fails stops no other."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from pathlib import Path

import pytest

from neurocaas.errors import Refused
from neurocaas.server.chores import Chore
from neurocaas.server.serving.backup_lock import backing_up, deleting
from neurocaas.server.serving.housekeeping import Housekeeping
from neurocaas.settings import Settings, SiteDocument

PATIENCE_SECONDS = 20.0


class Keeping:
    """Housekeeping on a clock that the test turns; `made` counts what was done."""

    def __init__(self, *chores: Chore) -> None:
        self.now = 0.0
        self.made: Counter[str] = Counter()
        self.keeping = Housekeeping(chores, perform=self._perform, ticks=lambda: self.now)

    def _perform(self, chore: Chore) -> None:
        self.made[chore.name] += 1
        chore.work(None)  # type: ignore[arg-type]

    def turn(self, *named: str) -> float:
        seconds = self.keeping.turn(named)
        assert self.keeping.finish(PATIENCE_SECONDS)
        return seconds


def _chore(name: str, every_seconds: float, work: object = None) -> Chore:
    return Chore(name=name, every_seconds=every_seconds, work=work or (lambda site: None))  # type: ignore[arg-type]


def test_each_chore_is_done_at_the_start_and_again_when_its_time_has_passed() -> None:
    keeping = Keeping(_chore("often", 10), _chore("seldom", 50))
    assert keeping.turn() == 10
    assert keeping.made == {"often": 1, "seldom": 1}
    keeping.now = 9
    assert keeping.turn() == 1
    assert keeping.made == {"often": 1, "seldom": 1}
    keeping.now = 10
    keeping.turn()
    assert keeping.made == {"often": 2, "seldom": 1}


def test_a_bell_that_names_a_chore_has_it_done_at_once_and_no_other() -> None:
    keeping = Keeping(_chore("send", 1000), _chore("expire", 1000))
    keeping.turn()
    keeping.turn("send", "nothing of ours", "done")
    assert keeping.made == {"send": 2, "expire": 1}


@pytest.mark.parametrize("fault", [Refused("It is not right."), ValueError("oh")])
def test_a_failing_chore_is_logged_tried_later_and_stops_no_other(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(site: object) -> None:
        raise fault

    keeping = Keeping(_chore("bad", 10, fail), _chore("good", 10))
    with caplog.at_level(logging.WARNING):
        keeping.turn()
        keeping.now = 10
        keeping.turn()
    assert keeping.made == {"bad": 2, "good": 2}
    assert [one.chore for one in caplog.records] == ["bad", "bad"]  # type: ignore[attr-defined]


def test_a_chore_that_takes_long_holds_up_no_other_and_is_not_begun_twice() -> None:
    go_on, begun = threading.Event(), threading.Event()

    def slow(site: object) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)

    keeping = Keeping(_chore("slow", 10, slow), _chore("quick", 10))
    keeping.keeping.turn()
    assert begun.wait(PATIENCE_SECONDS)
    keeping.now = 10
    keeping.keeping.turn(["slow"])
    assert not keeping.keeping.finish(0)
    go_on.set()
    assert keeping.keeping.finish(PATIENCE_SECONDS)
    assert keeping.made == {"slow": 1, "quick": 2}
    # The ring that came meanwhile is not lost.
    keeping.turn()
    assert keeping.made["slow"] == 2


def test_nothing_is_deleted_while_a_backup_is_written(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, site=SiteDocument(name="s"), database_url="sqlite:///x", store_url="file:///x")
    with backing_up(settings), deleting(settings) as granted:
        assert not granted
    with deleting(settings) as one, deleting(settings) as another:
        assert one
        assert another
