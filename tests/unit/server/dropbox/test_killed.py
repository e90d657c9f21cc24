"""A watcher that is killed at any line, and another one after it: one job, one hold, a whole answer, its end last."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.testing import Killed

if TYPE_CHECKING:
    from support.dropbox import Dropped


class Reaper:
    """Counts the steps that leave a trace, in a store, in the drop-box or in the database, and kills before one."""

    def __init__(self, patch: pytest.MonkeyPatch, dies_at: int) -> None:
        from django.db.models import Model, QuerySet

        from neurocaas.storage.file_drops import FileDrops
        from neurocaas.storage.files import FileStore

        self.steps, self._dies_at = 0, dies_at
        for owner, names in (
            (FileDrops, ("put", "put_file", "fetch")),
            (FileStore, ("put", "put_file")),
            (QuerySet, ("update", "bulk_create")),
            (Model, ("save",)),
        ):
            for name in names:
                patch.setattr(owner, name, self._mortal(getattr(owner, name)))

    def _mortal(self, action: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **named: Any) -> Any:
            self.steps += 1
            if self.steps == self._dies_at:
                raise Killed
            return action(*arguments, **named)

        return act


@pytest.mark.thorough
@pytest.mark.parametrize("part", range(2))
def test_whoever_is_killed_where_there_is_one_job_and_its_answer_is_whole(
    make_box: Callable[[], Dropped], part: int
) -> None:
    """Dies at every second step that leaves a trace, in a life of its own each, until there are no more."""
    for step in count(1 + part, 2):
        box = make_box()
        box.recording("lab/inputs/F/a.npy", 1)
        box.recording("lab/inputs/F/b.npy", 2)
        box.put("lab/inputs/F/config.yaml", "")
        for key in ("lab/inputs/F/submit.json", "lab/configs/F/submit.json"):
            box.submit(key, dataname="lab/inputs/F/", timestamp="5")
        box.submit("lab/submissions/bad_submit.json", dataname=3, timestamp="6")
        steps = _live(box, step)
        _is_whole(box)
        if steps < step:
            break
    print(f"died at half of {steps} steps")
    assert steps > 40


def _live(box: Dropped, dies_at: int) -> int:
    """From the first look to the last answer, with a death in between. Returns how many steps there were until then."""
    steps = 0
    for act in (box.look, box.run, box.look):
        if act == box.look:
            with pytest.MonkeyPatch.context() as patch:
                reaper = Reaper(patch, dies_at - steps)
                with contextlib.suppress(Killed):
                    act()
                steps += reaper.steps
        if act == box.run or steps >= dies_at:
            act()
    return steps


def _is_whole(box: Dropped) -> None:
    from neurocaas.server.jobs.models import Entry

    (job,) = box.jobs()
    assert (job.status, job.stacks.count()) == ("succeeded", 2)
    assert Entry.objects.filter(job=job, kind="reserve", stack=None).count() == 1
    assert sorted(one.outcome for one in box.submissions()) == ["refused", "succeeded"]
    assert all(one.done for one in box.submissions())
    whole = ["a/result.txt", "b/result.txt", "certificate.json", "certificate.txt"]
    assert box.files("lab/results/F") == box.files("lab/configs/F/results") == whole
    assert box.files("lab/results/job__box_5/process_results") == [*whole, "end.txt", "update.txt"]
    assert box.files("lab/results/job__box_6") == ["logs/certificate.txt", "process_results/end.txt"]


def test_the_end_is_written_last(box: Dropped) -> None:
    written: list[str] = []

    class Noting:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def put(self, key: str, data: bytes) -> None:
            written.append(key)
            self._inner.put(key, data)

        def put_file(self, path: Any, key: str) -> None:
            written.append(key)
            self._inner.put_file(path, key)

    box.ordinary()
    box.look(box.boxes(Noting))
    box.run()
    box.look(box.boxes(Noting))
    assert written[-1] == "lab/results/job__box_1622548800/process_results/end.txt"
    assert written.count(written[-1]) == 1
    written.clear()
    box.look(box.boxes(Noting))
    assert not written
