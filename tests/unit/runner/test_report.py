from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurocaas.runner.report import Report


@pytest.fixture
def report(tmp_path: Path) -> Iterator[Report]:
    made = Report(tmp_path / "report", owner=None)
    yield made
    made.close()


def say(tmp_path: Path, text: str) -> None:
    descriptor = os.open(tmp_path / "report", os.O_WRONLY)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def test_progress_and_messages_are_taken(report: Report, tmp_path: Path) -> None:
    say(tmp_path, "progress 0.25 reading frames\n")
    assert report.read()
    assert (report.progress, report.message) == (0.25, "reading frames")
    say(tmp_path, "progress 0.5\nmessage almost\n")
    assert report.read()
    assert (report.progress, report.message) == (0.5, "almost")
    assert not report.read()


@pytest.mark.parametrize(("given", "taken"), [("-3", 0.0), ("7", 1.0), ("inf", 1.0), ("1e-1", 0.1)])
def test_progress_stays_between_nought_and_one(report: Report, tmp_path: Path, given: str, taken: float) -> None:
    say(tmp_path, f"progress {given}\n")
    report.read()
    assert report.progress == taken


@pytest.mark.parametrize(
    "line", ["progress", "progress soon", "progress nan", "progress 0,5", "PROGRESS 1", "", "failure "]
)
def test_what_is_not_understood_is_passed_over(report: Report, tmp_path: Path, line: str) -> None:
    say(tmp_path, f"{line}\nmessage after\n")
    report.read()
    assert report.progress is None
    assert (report.message, report.failure) == ("after", "")


def test_a_line_may_come_in_pieces_and_one_that_is_too_long_is_passed_over(report: Report, tmp_path: Path) -> None:
    say(tmp_path, "message first ha")
    assert not report.read()
    say(tmp_path, "lf\n")
    assert report.read()
    assert report.message == "first half"
    for _ in range(20):
        say(tmp_path, "message " + "x" * 1000)
        report.read()
    say(tmp_path, "\nfailure The end.\n")
    report.read()
    assert (report.message, report.failure) == ("first half", "The end.")


def test_checkpoints_are_counted(report: Report, tmp_path: Path) -> None:
    say(tmp_path, "checkpoint\nprogress 0.5\ncheckpoint \ncheckpoint now\ncheckpoints\n")
    assert report.read()
    assert report.checkpoints == 2
