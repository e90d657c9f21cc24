"""Each submission becomes exactly one job or one refusal, wherever, however often and in whatever state it appears."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.errors import StorageFailed

if TYPE_CHECKING:
    from support.dropbox import Dropped

NAME = "job__box_1622548800"


def test_a_submission_starts_one_job_with_its_data_and_config(dropped: Dropped) -> None:
    dropped.ordinary()
    assert dropped.look() == 1
    (job,) = dropped.jobs()
    assert (job.group_id, job.user, job.analysis, job.config) == ("lab", "dropbox", "mean", {"components": 4})
    (stack,) = job.stacks.all()
    assert (stack.dataset, stack.inputs[0]["size_bytes"]) == ("a.npy", 7)
    assert dropped.wakes == ["manager"]
    assert dropped.look() == 0
    assert len(dropped.jobs()) == 1


def test_a_list_is_a_dataset_each_and_a_folder_those_that_fit(box: Dropped) -> None:
    for number, name in enumerate(("a.npy", "b.npy", "F/c.npy", "F/notes.md", "F/deeper/d.npy")):
        box.recording(f"lab/inputs/{name}", number)
    box.ordinary(dataname=["lab/inputs/a.npy", "lab/inputs/b.npy", "lab/inputs/a.npy", "lab/inputs/F/"])
    box.look()
    (job,) = box.jobs()
    assert [one.dataset for one in job.stacks.order_by("index")] == ["a.npy", "b.npy", "c.npy"]
    (submission,) = box.submissions()
    assert submission.datasets == ["lab/inputs/a.npy", "lab/inputs/b.npy", "lab/inputs/F/c.npy"]


def test_an_analysis_that_takes_folders_gets_the_folder_without_what_was_written_to_submit_it(box: Dropped) -> None:
    blueprint = box.world.repo.root / "analyses" / "mean" / "blueprint.json"
    document = json.loads(blueprint.read_text())
    document["inputs"] = {"recording": {"title": "Recording", "form": "folder"}}
    blueprint.write_text(json.dumps(document))
    for name in ("F/a.npy", "F/deeper/b.npy"):
        box.recording(f"lab/inputs/{name}")
    box.put("lab/inputs/F/config.yaml", "components: 5\n")
    box.submit("lab/inputs/F/submit.json", dataname="lab/inputs/F/")
    box.look()
    (job,) = box.jobs()
    (stack,) = job.stacks.all()
    assert (stack.dataset, job.config, stack.inputs[0]["form"]) == ("F", {"components": 5}, "folder")
    from neurocaas.server.uploads.models import Item

    assert [path for path, _, _ in Item.objects.get().content.parts] == ["a.npy", "deeper/b.npy"]


def test_the_same_submission_at_two_places_counts_once(dropped: Dropped) -> None:
    dropped.recording("lab/inputs/F/a.npy")
    dropped.put("lab/inputs/F/config.yaml", "components: 2\n")
    for key in ("lab/inputs/F/submit.json", "lab/configs/F/submit.json"):
        dropped.submit(key, dataname="lab/inputs/F/", instance_type="r5.16xlarge")
        dropped.look()
    assert len(dropped.jobs()) == len(dropped.submissions()) == 1
    dropped.submit("lab/inputs/F/submit.json", dataname="lab/inputs/F/", instance_type="r5.16xlarge")
    assert dropped.look() == 1
    assert len(dropped.jobs()) == 1


def test_the_same_words_about_other_data_or_another_config_are_another_submission(box: Dropped) -> None:
    box.recording("lab/inputs/F/a.npy", 1)
    for config in ("components: 1\n", "components: 2\n"):
        box.put("lab/inputs/F/config.yaml", config)
        box.submit("lab/inputs/F/submit.json", dataname="lab/inputs/F/")
        box.look()
    box.recording("lab/inputs/F/a.npy", 2)
    box.submit("lab/inputs/F/submit.json", dataname="lab/inputs/F/")
    box.look()
    assert [job.config["components"] for job in box.jobs()] == [1, 2, 2]


def test_what_was_refused_may_be_asked_again_where_it_was_but_its_copies_count_once(box: Dropped) -> None:
    from neurocaas.server.jobs.models import Group

    Group.objects.filter(pk="lab").update(profile={"name": "lab", "analyses": []})
    places = ("lab/inputs/F/submit.json", "lab/configs/F/submit.json")
    box.recording("lab/inputs/F/a.npy")
    box.put("lab/inputs/F/config.yaml", "")
    for key in places:
        box.submit(key, dataname="lab/inputs/F/")
    box.look()
    assert [one.outcome for one in box.submissions()] == ["refused"]
    Group.objects.filter(pk="lab").update(profile={"name": "lab"})
    for key in places:
        box.submit(key, dataname="lab/inputs/F/")
    box.look()
    assert [one.outcome for one in box.submissions()] == ["refused", "waiting"]


def test_two_submissions_of_one_second_have_folders_of_their_own(box: Dropped) -> None:
    box.ordinary()
    box.ordinary("lab/submissions/2_submit.json", dataname=["lab/inputs/a.npy"])
    box.ordinary("lab/submissions/3_submit.json", instance_type="x")
    box.look()
    assert [one.name for one in box.submissions()] == [NAME, f"{NAME}_2", f"{NAME}_3"]


def test_reserved_keys_of_the_config_ask_for_the_save_price_and_for_room(box: Dropped) -> None:
    box.ordinary()
    box.put("lab/configs/c.yaml", "components: 4\n__duration__: 30\n__dataset_size__: 2\n")
    box.look()
    (job,) = box.jobs()
    assert (job.price, job.timeout_minutes, job.config) == ("save", 30, {"components": 4})
    assert job.stacks.get().need["storage_mib"] == 10 * 1024 + 1908  # 2 GB more than the blueprint's 10 GiB


def test_data_is_stored_once_and_stays_what_it_was_when_it_was_submitted(box: Dropped) -> None:
    from neurocaas.server.uploads.models import Content

    box.ordinary()
    box.look()
    box.put("lab/inputs/a.npy", b"\x93NUMPY and something else")
    box.ordinary("lab/submissions/2_submit.json", timestamp="2")
    box.look()
    assert Content.objects.count() == 1
    (content,) = Content.objects.all()
    assert box.world.store.get(content.key) == b"\x93NUMPY\x00"
    assert not list((box.world.settings.state / "dropbox").iterdir())


def test_a_file_that_is_being_written_is_left_alone_for_a_moment(box: Dropped) -> None:
    box.ordinary()
    box.put("lab/submissions/1_submit.json", '{"dataname": ', age_seconds=0.5)
    assert box.look() == 0
    box.world.clock.advance(2)
    assert box.look() == 1


def test_a_fault_that_is_not_the_submissions_is_tried_again_and_told_after_an_hour(
    box: Dropped, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.storage.file_drops import FileDrops

    box.ordinary()
    box.ordinary("other/submissions/1_submit.json")

    def broken(self: FileDrops, key: str, start: int, end: int) -> bytes:
        raise StorageFailed("The disk of the drop-box does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(FileDrops, "read", broken)
        assert box.look() == 0
        assert not box.submissions()
        box.world.clock.advance(3700)
        assert box.look() == 2
    assert {one.message for one in box.submissions()} == {"The disk of the drop-box does not answer."}
    assert box.ended("job__box_1767225590")


def test_a_fault_of_the_platform_is_not_shown_and_holds_up_no_other(
    box: Dropped, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from neurocaas.server.dropbox import taking

    def broken(config: Any, name: str) -> None:
        raise ZeroDivisionError("a fault of ours")

    box.ordinary()
    box.submit("lab/submissions/2_submit.json", dataname=7)
    with monkeypatch.context() as patch:
        patch.setattr(taking, "_minutes", broken)
        assert box.look() == 1
        box.world.clock.advance(3700)
        box.look()
    assert "a fault of ours" in caplog.text
    assert "a fault of ours" not in box.submissions()[1].message
    assert "The platform failed" in box.submissions()[1].message


def test_a_link_in_a_drop_box_leads_nowhere(box: Dropped) -> None:
    box.ordinary("lab/submissions/1_submit.json")
    secret = box.folder.parent / "secret"
    secret.mkdir()
    (secret / "s.npy").write_bytes(b"\x93NUMPY")
    (secret / "c.yaml").write_text("components: 1\n")
    (box.folder / "lab/inputs/file.npy").symlink_to(secret / "s.npy")
    (box.folder / "lab/inputs/folder").symlink_to(secret)
    wanted = ["lab/inputs/file.npy", "lab/inputs/folder/s.npy", "lab/inputs/folder/"]
    box.ordinary(dataname=wanted, configname="lab/inputs/folder/c.yaml")
    box.look()
    assert not box.jobs()
    message = box.submissions()[0].message
    assert [line.partition(": there is no")[0] for line in message.splitlines()] == [
        *(f"dataname: {one}" for one in wanted),
        "configname: lab/inputs/folder/c.yaml",
    ]
    (box.folder / "lab/results").rename(box.folder / "lab/before")
    os.symlink(secret, box.folder / "lab/results")  # noqa: PTH211
    box.ordinary("lab/submissions/2_submit.json", timestamp="2")
    box.look()
    assert sorted(one.name for one in secret.iterdir()) == ["c.yaml", "s.npy"]


def test_what_was_delivered_is_no_submission(box: Dropped) -> None:
    box.ordinary("lab/configs/F/results/submit.json")
    box.ordinary("lab/results/job/process_results/submit.json")
    box.ordinary("lab/elsewhere/submit.json")
    assert box.look() == 0


def test_a_message_about_a_submission_has_the_boxes_looked_at_and_others_are_somebody_elses(
    box: Dropped, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.server.dropbox import hints

    woken: list[str] = []
    monkeypatch.setattr(hints, "wake", lambda _settings, name: woken.append(name))
    site = box.world.settings.site.model_copy(update={"dropboxes": {"mean": "s3://drops/of/mean"}})
    settings = box.world.settings.model_copy(update={"site": site})

    def told(bucket: str, key: str, kind: str = "Object Created") -> bool:
        detail = {"bucket": {"name": bucket}, "object": {"key": key}}
        return hints.take_hint(settings, {"source": "aws.s3", "detail-type": kind, "detail": detail})

    assert told("drops", "of/mean/lab/submissions/1_submit.json")
    assert woken == ["dropbox"]
    assert told("drops", "of/mean/lab/inputs/a.npy")  # for a drop-box, but nothing to do
    assert not told("elsewhere", "lab/submissions/1_submit.json")
    assert not told("drops", "of/mean/lab/submissions/1_submit.json", "Batch Job State Change")
    assert not hints.take_hint(settings, {"detail-type": "Object Created", "detail": []})
    assert not hints.take_hint(settings, {})
    assert woken == ["dropbox"]
