"""What becomes of a job is written where clients of the original look for it, and `end.txt` comes last."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from support.dropbox import Dropped

JOB = "lab/results/job__box_1622548800"
STATUS = "logs/DATASET_NAME:a.npy_STATUS.txt"


def _status(box: Dropped, name: str = STATUS) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box.read(f"{JOB}/{name}"))
    return found


def test_a_job_is_followed_from_its_admission_to_its_end(dropped: Dropped) -> None:
    dropped.ordinary()
    dropped.look()
    (job,) = dropped.jobs()
    assert dropped.files(JOB) == [STATUS, "logs/certificate.txt"]
    assert _status(dropped)["status"] == "INITIALIZING"
    certificate = dropped.certificate()
    assert "DATANAME: lab/inputs/a.npy | STATUS: INITIALIZING | TIME: - | LAST COMMAND: - | CPU_USAGE: -" in certificate
    assert "REQUEST START TIME: 2026-01-01T00:00:00.000Z" in certificate
    assert f"ANALYSIS VERSION ID: {job.git_commit} ({job.label})" in certificate
    assert f"JOB ID: {job.id}" in certificate
    manager = dropped.world.manager()
    manager.turn()
    manager.turn(dropped.world.cloud.events())
    dropped.run()
    dropped.look()
    status = _status(dropped)
    assert (status["status"], status["input"], status["reason"]) == ("SUCCESS", "lab/inputs/a.npy", "")
    assert status["instance"] == "simulated sim.large"
    assert status["job_finish"] == "2026-01-01T00:00:00.000Z"
    assert dropped.files(JOB) == [
        STATUS,
        "logs/a/log.txt",
        "logs/certificate.txt",
        "process_results/a/result.txt",
        "process_results/certificate.json",
        "process_results/certificate.txt",
        "process_results/end.txt",
        "process_results/update.txt",
    ]
    assert dropped.read(f"{JOB}/process_results/a/result.txt") == "ok"
    assert dropped.read(f"{JOB}/process_results/end.txt") == "job__box_1622548800: SUCCEEDED\n"
    assert "STATUS: SUCCESS" in dropped.certificate()
    assert "1 of 1 dataset(s) succeeded; the job succeeded." in dropped.certificate()
    assert '"components": 4' in dropped.read(f"{JOB}/process_results/update.txt")


def test_each_dataset_is_marked_when_it_is_done_and_one_that_fails_says_why(box: Dropped) -> None:
    box.recording("lab/inputs/b.npy", 1)
    box.ordinary(dataname=["lab/inputs/a.npy", "lab/inputs/b.npy"])
    box.look()
    manager = box.world.manager()
    manager.turn()
    first, _ = box.world.cloud.running
    box.world.store.put(f"{box.world.cloud.document(first)['prefix']}/results/result.txt", b"ok")
    box.world.cloud.finish(first)
    manager.turn(box.world.cloud.events())
    box.look()
    assert box.read(f"{JOB}/process_results/update.txt").splitlines()[0] == "lab/inputs/a.npy: SUCCESS"
    assert "b.npy" not in box.read(f"{JOB}/process_results/update.txt")
    assert not box.ended()
    assert box.read(f"{JOB}/process_results/a/result.txt") == "ok"
    box.run(failing="b.npy")
    box.look()
    assert box.ended()
    assert "lab/inputs/b.npy: FAILED" in box.read(f"{JOB}/process_results/update.txt")
    failed = _status(box, "logs/DATASET_NAME:b.npy_STATUS.txt")
    assert failed["status"] == "FAILED"
    assert failed["reason"].startswith("WORKFLOW_FAILED It broke.")
    assert "It broke." in box.certificate()
    assert box.read(f"{JOB}/process_results/end.txt") == "job__box_1622548800: FAILED\n"


def test_datasets_of_one_name_have_status_files_and_folders_of_their_own(box: Dropped) -> None:
    box.recording("lab/inputs/1/a.npy", 1)
    box.recording("lab/inputs/2/a.npy", 2)
    box.ordinary(dataname=["lab/inputs/1/a.npy", "lab/inputs/2/a.npy"])
    box.look()
    box.run()
    box.look()
    files = box.files(JOB)
    assert [one for one in files if one.endswith("_STATUS.txt")] == ["logs/DATASET_NAME:a-2.npy_STATUS.txt", STATUS]
    assert [one for one in files if one.endswith("result.txt")] == [
        "process_results/a-2/result.txt",
        "process_results/a/result.txt",
    ]
    assert _status(box)["input"] == "lab/inputs/1/a.npy"
    assert _status(box, "logs/DATASET_NAME:a-2.npy_STATUS.txt")["input"] == "lab/inputs/2/a.npy"


def test_clients_that_look_beside_their_own_files_find_results_there(box: Dropped) -> None:
    box.recording("lab/inputs/F/a.npy")
    box.put("lab/inputs/F/config.yaml", "")
    box.submit("lab/inputs/F/submit.json", dataname="lab/inputs/F/")
    box.look()
    box.run()
    box.look()
    assert box.files("lab/results/F") == ["certificate.json", "certificate.txt", "result.txt"]
    box.submit("lab/configs/F/submit.json", dataname="lab/inputs/F/")  # the same, after all is done
    box.look()
    assert box.files("lab/configs/F/results") == box.files("lab/results/F")
    assert len(box.jobs()) == 1
    before = box.files("lab")
    box.look()
    assert box.files("lab") == before


def test_a_client_that_is_refused_finds_the_reason_where_it_looks(box: Dropped) -> None:
    box.submit("lab/inputs/F/submit.json", dataname="lab/inputs/F/")
    box.look()
    assert "there is no file in this folder" in box.read("lab/results/F/certificate.txt")


def test_results_go_besides_where_the_submission_says(box: Dropped) -> None:
    box.ordinary(resultpath="lab/results/mine/")
    box.look()
    box.run()
    box.look()
    assert box.files("lab/results/mine/job__box_1622548800") == [
        "a/result.txt",
        "certificate.json",
        "certificate.txt",
    ]


def test_names_that_mean_something_else_do_not_stop_an_answer(box: Dropped) -> None:
    long = "x" * 190 + ".npy"
    for number, name in enumerate(("end.txt.npy", long)):
        box.recording(f"lab/inputs/{name}", number)
    box.ordinary(dataname=["lab/inputs/end.txt.npy", f"lab/inputs/{long}"])
    box.look()
    box.run()
    box.look()
    assert box.ended()
    assert "process_results/end.txt_/result.txt" in box.files(JOB)


def test_a_job_that_is_cancelled_or_deleted_meanwhile_ends_too(box: Dropped) -> None:
    from neurocaas.server.jobs.cancel import cancel
    from neurocaas.server.jobs.deleting import delete_job

    box.ordinary()
    box.look()
    (job,) = box.jobs()
    cancel(job)
    box.world.manager().turn()
    job.refresh_from_db()
    delete_job(box.world.store, job)
    box.look()
    assert _status(box)["status"] == "FAILED"
    assert _status(box)["reason"].startswith("CANCELLED")
    assert box.read(f"{JOB}/process_results/end.txt") == "job__box_1622548800: CANCELLED\n"


def test_an_answer_that_can_not_be_written_holds_up_no_other(box: Dropped, caplog: pytest.LogCaptureFixture) -> None:
    box.ordinary()
    box.ordinary("other/submissions/1_submit.json")
    (box.folder / "lab/results").write_text("a file where a folder is to be")
    box.look()
    assert "can't be written" in caplog.text
    assert box.ended(group="other")
    (box.folder / "lab/results").unlink()
    box.look()
    assert box.certificate()


def test_a_client_that_comes_in_the_middle_is_given_everything_in_the_end(box: Dropped) -> None:
    for number, name in enumerate(("a.npy", "b.npy")):
        box.recording(f"lab/inputs/F/{name}", number)
    box.put("lab/inputs/F/config.yaml", "")
    box.submit("lab/inputs/F/submit.json", dataname="lab/inputs/F/")
    box.look()
    manager = box.world.manager()
    manager.turn()
    first, _ = box.world.cloud.running
    box.world.store.put(f"{box.world.cloud.document(first)['prefix']}/results/result.txt", b"ok")
    box.world.cloud.finish(first)
    manager.turn(box.world.cloud.events())
    box.look()
    assert box.files("lab/results/F") == ["a/result.txt"]
    box.submit("lab/configs/F/submit.json", dataname="lab/inputs/F/")
    box.look()
    box.run()
    box.look()
    whole = ["a/result.txt", "b/result.txt", "certificate.json", "certificate.txt"]
    assert box.files("lab/results/F") == box.files("lab/configs/F/results") == whole


def test_a_job_in_which_nothing_has_changed_is_not_read(box: Dropped, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurocaas.server.dropbox import mirroring

    box.ordinary()
    box.look()
    read: list[object] = []
    answer = mirroring._answer
    monkeypatch.setattr(mirroring, "_answer", lambda *given: (read.append(given), answer(*given)))
    box.look()
    assert not read
    box.world.manager().turn()
    box.look()
    assert len(read) == 1
    assert _status(box)["status"] in {"INITIALIZING", "IN PROGRESS"}
