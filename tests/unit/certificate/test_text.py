"""The text says what a person wants to know, and nobody can write lines of their own into it."""

from __future__ import annotations

from typing import Any

import pytest

from neurocaas.certificate import SigningKey, as_text, seal
from neurocaas.errors import Refused


def test_the_text_says_the_key_facts(certificate: dict[str, Any], key: SigningKey) -> None:
    text = as_text(certificate)
    lines = text.splitlines()
    for line in (
        "NeuroCAAS certificate",
        "Analysis      pca@121212121212",
        f"              version {'12' * 32}",
        f"              git commit {'c0ffee' * 6}beef",
        "Job           20261102-k3x9",
        "Who           ada, group local, at Bench Lab",
        "Submitted     2026-11-02 09:15:00.000 UTC",
        "Ended         2026-11-02 09:16:02.000 UTC",
        "State         failed (OUT_OF_MEMORY)",
        "Datasets      2",
        "Stacks        1 of 2 succeeded",
        "Cost          $0.030000002 of at most $12.50 (standard price)",
        "Metrics       explained 0.75",
        "Parameters    components  10",
        "              tolerance   1e-06",
        f"Environment   python {'56' * 32} on linux-x86_64",
        "Software      neurocaas 0.1.0",
        "Stack 0 of 2: mouse 1.tif",
        "Inputs        recording: mouse 1.tif (1.2 MB)",
        "Outputs       mouse 1/components.npy (10 B)",
        "              mouse 1/figures/größe 100%.png (6 B)",
        "Attempt 1     succeeded",
        "              2026-11-02 09:15:01.250 UTC to 2026-11-02 09:16:01.750 UTC, $0.01",
        "              on local local-1 (1 vCPU, 2048 MiB memory, 0 GPU) at the standard price",
        "              host bench, Linux 6.1 x86_64, AMD EPYC",
        "              sandbox bubblewrap, identity uid 60001, limits cgroup",
        "              used 60.5 s, 58.2 CPU seconds, at most 512.0 MB memory and 1.0 kB storage",
        "Stack 1 of 2: fly.tif",
        "              The workflow used more than 2048 MiB of memory.",
        "              Use a smaller dataset, or ask for more memory in the blueprint's hardware.",
        "Seed          8",
        "Attempt 1     INSTANCE_LOST It went away.",
        "Attempt 2     OUT_OF_MEMORY Too much.",
        "Cost          $0.000000002",
        f"Sealed by     key {key.key_id} (Ed25519)",
        "Verify        neurocaas verify certificate.json .",
    ):
        assert line in lines, line
    for stack in certificate["stacks"]:
        for file in (*stack["inputs"], *stack["outputs"]):
            assert f"sha256 {file['sha256']}" in text
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    assert not any(line != line.rstrip() for line in lines)


def test_a_job_that_never_ran_reads_well(facts: dict[str, Any], key: SigningKey) -> None:
    facts["job"] |= {"status": "cancelled", "started_at": None, "reason": "CANCELLED"}
    facts["steps"][0]["environment"]["digest"] = None
    facts["analysis"] |= {"git_commit": None, "committed": False, "label": "pca@dev"}
    facts |= {"stacks": [], "config": {}, "cost_dollars": "0"}
    lines = as_text(seal(facts, key)).splitlines()
    for line in (
        "Analysis      pca@dev",
        "              not from a git commit; the analysis was being edited (not committed) when it ran",
        "Started       never",
        "State         cancelled (CANCELLED)",
        "Stacks        0 of 0 succeeded",
        "Cost          $0 of at most $12.50 (standard price)",
        "Parameters    none",
        "Environment   python (not built here) on linux-x86_64",
    ):
        assert line in lines, line


def test_no_message_can_pose_as_a_line_of_the_certificate(facts: dict[str, Any], key: SigningKey) -> None:
    facts["stacks"][1]["message"] = "bad\nState         succeeded\r\x1b[2J\u202e"
    facts["stacks"][1]["dataset"] = "fly\nState         succeeded"
    facts["job"]["user"] = "ada\nState         succeeded"
    text = as_text(seal(facts, key))
    assert text.splitlines().count("State         succeeded") == 1
    assert not {"\r", "\x1b", "\u202e"} & set(text)


def test_a_certificate_that_lacks_facts_has_no_text(certificate: dict[str, Any]) -> None:
    del certificate["job"]
    with pytest.raises(Refused, match="job: it is missing"):
        as_text(certificate)


def test_what_was_swept_chained_and_reused_is_said(facts: dict[str, Any], key: SigningKey) -> None:
    first, second = facts["stacks"]
    facts["sweep"] = [{"components": 5}, {"components": 10}]
    facts["steps"].append(facts["steps"][0] | {"name": "smooth", "label": "kalman@77", "version": "77" * 32})
    first["reused_from"] = {"job": "20261101-aaaa", "stack": 4, "environment": "99" * 32}
    second |= {"step": "smooth", "label": "components=10"}
    second["inputs"][0]["from_stacks"] = [0]
    lines = as_text(seal(facts, key)).splitlines()
    for line in (
        "Sweep         components 5",
        "              components 10",
        "Step smooth   kalman@77",
        f"              version {'77' * 32}",
        "Stack 0 of 2: mouse 1.tif, pca",
        "Reused        the results of job 20261101-aaaa, stack 4; it did not run again",
        f"              environment {'99' * 32}",
        "Stack 1 of 2: fly.tif, smooth, components=10",
        "Inputs        recording: fly.tif, which stack 0 wrote (1.2 MB)",
    ):
        assert line in lines, line
