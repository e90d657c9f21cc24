"""A watcher that is killed at any line, and another one after it: one job, one hold, a whole answer, its end last."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.testing import Killed

if TYPE_CHECKING:
    from support.dropbox import Dropped

LINES = 70  # more than the steps that leave a trace from the first look to the last


class Reaper:
    """Counts the steps that leave a trace, in a store, in the drop-box or in the database, and kills at one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, dies_at: int, *, before: bool) -> None:
        from django.db.models import Model, QuerySet

        from neurocaas.storage.file_drops import FileDrops
        from neurocaas.storage.files import FileStore

        self.steps, self._dies_at, self._before = 0, dies_at, before
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
            dies = self.steps == self._dies_at
            if dies and self._before:
                raise Killed
            result = action(*arguments, **named)
            if dies:
                raise Killed
            return result

        return act


def _life(box: Dropped) -> None:
    box.look()
    if any(one.status == "waiting" for one in box.jobs()):
        box.run()
    box.look()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("part", range(4))
def test_whoever_is_killed_where_there_is_one_job_and_its_answer_is_whole(
    make_box: Callable[[], Dropped], part: int, before: bool
) -> None:
    from neurocaas.server.jobs.models import Entry

    deaths = 0
    for line in range(1 + part, LINES, 4):
        box = make_box()
        box.recording("lab/inputs/F/a.npy", 1)
        box.recording("lab/inputs/F/b.npy", 2)
        box.put("lab/inputs/F/config.yaml", "")
        for key in ("lab/inputs/F/submit.json", "lab/configs/F/submit.json"):
            box.submit(key, dataname="lab/inputs/F/", timestamp="5")
        box.submit("lab/submissions/bad_submit.json", dataname=3, timestamp="6")
        with pytest.MonkeyPatch.context() as patch:
            reaper = Reaper(patch, line, before=before)
            try:
                _life(box)
            except Killed:
                deaths += 1
        _life(box)
        _life(box)
        (job,) = box.jobs()
        assert (job.status, job.stacks.count()) == ("succeeded", 2)
        assert Entry.objects.filter(job=job, kind="reserve", stack=None).count() == 1
        assert sorted(one.outcome for one in box.submissions()) == ["refused", "succeeded"]
        assert all(one.done for one in box.submissions())
        whole = ["a/result.txt", "b/result.txt", "certificate.json", "certificate.txt"]
        assert box.files("lab/results/F") == box.files("lab/configs/F/results") == whole
        assert box.files("lab/results/job__box_5/process_results") == [*whole, "end.txt", "update.txt"]
        assert box.files("lab/results/job__box_6") == ["logs/certificate.txt", "process_results/end.txt"]
    print(f"{deaths} deaths in {reaper.steps} steps")
    assert deaths >= 8  # else the steps are fewer than it seemed


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
