"""An attempt handed to a runner beyond the site's machine: a ticket used once, credentials that reach one attempt."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from neurocaas.errors import NeurocaasError, Refused
from neurocaas.runner import arrival
from neurocaas.runner.arrival import arrive
from neurocaas.runner.checkpoint import Manifest, keep
from neurocaas.storage import keys
from support.far import INPUT, Far
from support.sites import until


def archive(mode: str, name: str, content: bytes) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as tar:  # type: ignore[call-overload]
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return held.getvalue()


def test_a_runner_with_nothing_but_a_ticket_performs_the_attempt(far: Far) -> None:
    given = {"name": "movie", "form": "file", "filename": "m.txt", "key": INPUT, "sha256": "0" * 64, "size_bytes": 15}
    document = far.document(
        "cat /job/inputs/movie/m.txt; cat /job/inputs/movie/m.txt > /job/results/copy.txt",
        inputs=[given],
        outputs=[{"name": "copy", "pattern": "copy.txt"}],
    )
    answer = far.run(far.hand_over(document))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert far.record(document).succeeded, far.record(document).message
    assert far.log(document) == "the group's own"
    assert far.store.get(keys.result(document["prefix"], "copy.txt")) == b"the group's own"
    assert list(far.store.list("exchange")) == []


def test_what_the_analysis_needs_is_brought_with_the_same_credentials(far: Far) -> None:
    """Its workflow, a tree of its environment, a folder, and a folder put together from parts."""
    version, tree = "versions/look/abc.tar", keys.tree_archive("e1")
    script = b"cat /opt/tree/tool; cat /job/inputs/folder/f/*; cat /job/inputs/parts/p/*"
    far.store.put(version, archive("w", "workflow.sh", script))
    far.store.put(tree, archive("w:gz", "tool", b"tool "))
    for name in ("a", "b"):
        far.store.put(keys.content_folder_file("lab", "c2", name), f"{name} ".encode())
    folder = {"name": "folder", "form": "folder", "filename": "f", "key": keys.content_folder("lab", "c2")}
    part = {"path": "one", "key": INPUT}
    parts = {"name": "parts", "form": "folder", "filename": "p", "parts": [part]}
    document = far.document(
        workflow={"files": "/nowhere/abc", "archive": version},
        environment={"mounts": [{"source": "/nowhere/e1/tree", "target": "/opt/tree", "archive": tree}]},
        inputs=[one | {"sha256": "0" * 64, "size_bytes": 4} for one in (folder, parts)],
        shelf=str(far.bench.folder / "shelf"),
    )
    assert far.run(far.hand_over(document)).returncode == 0
    assert far.record(document).succeeded, far.record(document).message
    assert far.log(document) == "tool a b the group's own"


def test_an_attempt_goes_on_from_the_checkpoint_of_the_one_before(far: Far, tmp_path: Path) -> None:
    before = keys.checkpoint(keys.attempt("lab", "job", 77, 1), 1)
    (tmp_path / "state").write_text("halfway")
    manifest = Manifest(attempt="job/77/1", number=1, taken_at="2026-01-01T00:00:00Z", files=())
    assert keep(far.store, before, manifest, {"state": tmp_path / "state"}, lambda: True)
    document = far.document(
        'cat "$NEUROCAAS_CHECKPOINT/state"',
        workflow={"checkpoints": True},
        checkpoint=before,
        prefix=keys.attempt("lab", "job", 77, 2),
    )
    assert far.run(far.hand_over(document)).returncode == 0
    assert far.record(document).succeeded, far.record(document).message
    assert "halfway" in far.log(document)


def test_a_ticket_is_exchanged_once(far: Far) -> None:
    ticket = far.hand_over(far.document())
    arrive(ticket)
    with pytest.raises(Refused, match="This ticket was used"):
        arrive(ticket)
    second = far.run(ticket)
    assert second.returncode == 2
    assert second.stderr == "This ticket was used: each can be exchanged once.\n"


def test_of_eight_runners_that_arrive_together_one_gets_through(far: Far) -> None:
    ticket = far.hand_over(far.document())
    together = threading.Barrier(8)

    def come(_: int) -> str:
        together.wait()
        try:
            arrive(ticket)
        except Refused as refusal:
            return refusal.message
        return ""

    with ThreadPoolExecutor(8) as runners:
        said = list(runners.map(come, range(8)))
    assert said.count("") == 1
    assert all(one.startswith("This ticket was used") for one in said if one)


def test_a_sealed_object_that_came_back_lets_nobody_in(far: Far) -> None:
    ticket = far.hand_over(far.document())
    sealed = {entry.key: far.store.get(entry.key) for entry in far.store.list("exchange")}
    arrive(ticket)
    for key, data in sealed.items():
        far.store.put(key, data)
    with pytest.raises(Refused, match="another runner performs the attempt"):
        arrive(ticket)


@pytest.mark.parametrize(
    "spoil",
    [lambda ticket: "", lambda ticket: "s3://bucket/x", lambda ticket: ticket.replace("exchange/", "exchange/not-")],
)
def test_what_is_no_ticket_is_refused_in_a_sentence(far: Far, spoil: Any) -> None:
    answer = far.run(spoil(far.hand_over(far.document())))
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "ticket" in answer.stderr.lower()


def test_a_ticket_ends(far: Far) -> None:
    ticket = far.hand_over(far.document())
    with pytest.raises(Refused, match="This ticket has ended"):
        arrive(ticket.replace("X-Amz-Expires=604800", "X-Amz-Expires=0"))


def test_no_message_tells_the_ticket(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "PAUSES_SECONDS", (0.0,))
    ticket = far.hand_over(far.document())
    for wrong in (
        ticket.replace("X-Amz-Expires=604800", "X-Amz-Expires=0"),
        ticket.replace(":" + far.aws.endpoint.rpartition(":")[2], ":1"),
    ):
        with pytest.raises(NeurocaasError) as told:
            arrive(wrong)
        assert "Signature" not in str(told.value)
        assert "exchange/" not in str(told.value)


LOOK_FOR_SECRETS = r"""
env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\0' '\n'
grep -r -l -s -E 'ASIA|secret_access_key|X-Amz-Signature|exchange/' \
    /job /workflow /tmp /run /var /home /root /etc /dev/shm
for address in 169.254.169.254/80 169.254.170.2/80 STORE; do
    (exec 3<>/dev/tcp/$address) 2>/dev/null && echo "reached $address"
done
echo looked
"""


def test_a_workflow_finds_no_ticket_no_credentials_and_no_metadata_service(far: Far) -> None:
    # Nobody answers at the metadata service's addresses here; but the store does, and the test itself reaches it.
    document = far.document(
        LOOK_FOR_SECRETS.replace("STORE", far.aws.endpoint.removeprefix("http://").replace(":", "/"))
    )
    ticket = far.hand_over(document)
    sealed = json.loads(far.store.get(next(iter(far.store.list("exchange"))).key))["credentials"]
    answer = far.run(ticket)
    assert answer.returncode == 0
    seen = [
        far.log(document),
        far.store.get(keys.exit_record(document["prefix"])).decode(),
        answer.stdout,
        answer.stderr,
    ]
    seen += [path.read_text() for path in Path(document["work"]).rglob("*") if path.is_file()]
    assert "looked" in seen[0]
    for one in seen:
        assert "NEUROCAAS_TICKET" not in one
        assert "AWS_" not in one
        assert "reached" not in one
        assert not any(secret in one for secret in (ticket, "X-Amz-", *sealed.values()))


def test_no_list_of_processes_shows_the_ticket(far: Far) -> None:
    document = far.document("echo begun; sleep 100")
    ticket = far.hand_over(document)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(far.run, ticket)
        until(lambda: "begun" in far.log(document))
        listed = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        far.store.delete(keys.lease(document["prefix"]))
        running.result(timeout=60)
    assert not any(b"X-Amz-" in one or b"exchange/" in one for one in listed)
