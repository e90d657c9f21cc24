from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from neurocaas.reasons import Reason
from neurocaas.runner import staging
from neurocaas.runner.attempt import cage_name, host
from neurocaas.runner.collection import matcher
from neurocaas.runner.document import AttemptDocument, ExitRecord, Host
from neurocaas.runner.lease import LeaseWatch
from neurocaas.runner.stopped import Stopped
from neurocaas.storage import keys, open_store

PREFIX = "groups/lab/jobs/j/stacks/00000/attempts/1"


def document(**changes: Any) -> AttemptDocument:
    value = {
        "attempt": "j/0/1",
        "token": "t",
        "store": "file:///store",
        "prefix": PREFIX,
        "work": "/work",
        "inputs": [
            {
                "name": "two-photon",
                "form": "file",
                "filename": "a b.tif",
                "path": "/d/a",
                "sha256": "0",
                "size_bytes": 1,
            }
        ],
        "config": {"rank": 2},
        "seed": 5,
        "workflow": {"files": "/version", "command": ["python", "/workflow/workflow.py"]},
        "outputs": [],
        "environment": {"digest": "e", "variables": {"A": "1"}, "path": ["/env/bin", "/python/bin"]},
        "resources": {"vcpus": 3, "memory_mib": 100, "storage_mib": 10, "gpus": ["0", "2"], "processes": 9},
        "timeout_seconds": 60,
        **changes,
    }
    return AttemptDocument.model_validate_json(json.dumps(value))


def test_the_variables_are_those_of_the_contract() -> None:
    variables = staging.variables(document())
    assert variables["NEUROCAAS_INPUT_TWO_PHOTON"] == "/job/inputs/two-photon/a b.tif"
    assert variables["NEUROCAAS_GPUS"] == variables["CUDA_VISIBLE_DEVICES"] == "0,2"
    assert variables["PATH"] == "/env/bin:/python/bin:/usr/bin:/bin"
    assert variables["A"] == "1"
    assert {variables[name] for name in staging.THREAD_VARIABLES} == {"3"}
    assert (variables["NEUROCAAS_SEED"], variables["NEUROCAAS_MEMORY_MIB"]) == ("5", "100")


def test_the_environment_cannot_replace_the_contracts_variables() -> None:
    variables = staging.variables(document(environment={"digest": "e", "variables": {"NEUROCAAS_SEED": "0"}}))
    assert variables["NEUROCAAS_SEED"] == "5"


def test_the_limits_are_in_bytes() -> None:
    limits = staging.limits(document())
    assert (limits.memory_bytes, limits.processes, limits.file_bytes) == (100 << 20, 9, 10 << 20)


def test_only_results_scratch_checkpoint_and_report_are_writable(tmp_path: Path) -> None:
    stage = staging.Stage(work=tmp_path, uid=None)
    view = staging.view(document(), stage, [], ("true",))
    writable = {mount.target for mount in view.mounts if mount.writable}
    assert writable == {"/job/results", "/job/scratch", "/job/checkpoint", "/tmp", "/job/report"}
    assert json.loads(view.files["/job/config.json"]) == {"rank": 2}
    named = json.loads(view.files["/job/manifest.json"])["inputs"]["two-photon"]
    assert named == {"form": "file", "path": "/job/inputs/two-photon/a b.tif", "filename": "a b.tif"}


def test_an_unknown_key_in_a_document_is_an_error() -> None:
    with pytest.raises(ValidationError, match="surprise"):
        document(surprise=1)


def test_an_exit_record_survives_its_json() -> None:
    record = ExitRecord(
        attempt="j/0/1",
        token="t",
        succeeded=False,
        reason=Reason.TIMED_OUT,
        message="Too slow.",
        started_at="2026-01-01T00:00:00.000Z",
        ended_at="2026-01-01T00:00:01.000Z",
        host=host(),
    )
    assert ExitRecord.model_validate_json(record.model_dump_json()) == record
    assert isinstance(record.host, Host)
    assert record.host.platform.startswith("Linux ")


def test_a_cages_name_is_one_safe_word() -> None:
    assert cage_name("job one/0/1", "0123456789abcdef") == "job-one-0-1-0123456789ab"


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("components.npy", "components.npy", True),
        ("components.npy", "deep/components.npy", False),
        ("*.npy", "a.npy", True),
        ("*.npy", "deep/a.npy", False),
        ("**/*.npy", "a.npy", True),
        ("**/*.npy", "deep/er/a.npy", True),
        ("figures/**", "figures/a/b.png", True),
        ("figures", "figures/a.png", True),
        ("part-?.csv", "part-1.csv", True),
        ("part-[0-3].csv", "part-4.csv", False),
        ("part-[!0-3].csv", "part-4.csv", True),
        ("a.b", "axb", False),
        ("a+(b)", "a+(b)", True),
        ("ü *.png", "ü 1.png", True),
    ],
)
def test_patterns_of_outputs(pattern: str, path: str, matches: bool) -> None:
    assert bool(matcher(pattern).fullmatch(path)) is matches


def test_a_lease_holds_as_long_as_it_names_the_attempts_token(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    watch = LeaseWatch(store, PREFIX, "t", interval_seconds=1)
    store.put(keys.lease(PREFIX), b'{"token": "t"}')
    watch.look()
    for other in (b'{"token": "u"}', b"", b"[]"):
        store.put(keys.lease(PREFIX), other)
        with pytest.raises(Stopped):
            watch.look()
    store.delete(keys.lease(PREFIX))
    with pytest.raises(Stopped, match="cancelled"):
        watch.look()
