"""Sealing takes all facts and nothing else, and signs a canonical form that others can rebuild."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from neurocaas.certificate import Outcome, SigningKey, TrustedKeys, seal, verify
from neurocaas.certificate.seal import canonical
from neurocaas.errors import Refused

Change = Callable[[dict[str, Any]], Any]


def test_the_seal_can_be_checked_with_nothing_but_the_standards(certificate: dict[str, Any]) -> None:
    mark = certificate["seal"]
    raw = base64.b64decode(mark["public_key"])
    assert mark["key_id"] == hashlib.sha256(raw).hexdigest()[:16]
    message = rfc8785.dumps({name: value for name, value in mark.items() if name != "signature"})
    Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(mark["signature"]), message)
    for name, digest in mark["sections"].items():
        first, _, index = name.partition("/")
        section = certificate[first][int(index)] if index else certificate[first]
        assert hashlib.sha256(rfc8785.dumps(section)).hexdigest() == digest
    assert set(mark["sections"]) == {*certificate} - {"seal", "stacks"} | {"stacks/0", "stacks/1"}


def test_sealing_the_same_facts_twice_writes_the_same_certificate(facts: dict[str, Any], key: SigningKey) -> None:
    assert seal(facts, key) == seal(facts, key)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda facts: facts.pop("seed"), "seed: it is missing"),
        (lambda facts: facts["job"].pop("reason"), "job.reason: it is missing"),
        (lambda facts: facts["stacks"][1].pop("folder"), r"stacks\[1\].folder: it is missing"),
        (lambda facts: facts.update(note="x"), "note: this key is not known"),
        (lambda facts: facts["analysis"].update(version="12ab"), "analysis.version: found"),
        (lambda facts: facts["job"].update(status="running"), "job.status: found"),
        (lambda facts: facts["job"].update(ended_at="2026-11-02T09:16:02Z"), "job.ended_at: found"),
        (lambda facts: facts["job"].update(reason="BAD_LUCK"), "job.reason: found"),
        (lambda facts: facts.update(cost_dollars="-1"), "cost_dollars: found"),
        (lambda facts: facts.update(cost_dollars="NaN"), "cost_dollars: found"),
        (lambda facts: facts["config"].update(tolerance=float("nan")), "config.tolerance: found nan"),
        (lambda facts: facts["config"].update(large=10**5000), "config can't be written as JSON"),
    ],
)
def test_a_missing_or_wrong_fact_is_refused_with_its_path(
    facts: dict[str, Any], key: SigningKey, change: Change, named: str
) -> None:
    change(facts)
    with pytest.raises(Refused, match=f"the certificate's facts.*{named}"):
        seal(facts, key)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_of_which_nothing_ever_ran_has_a_certificate(
    facts: dict[str, Any], key: SigningKey, trusted: TrustedKeys, status: str
) -> None:
    facts["job"] |= {"status": status, "started_at": None, "ended_at": None, "reason": "CANCELLED"}
    facts["steps"][0]["environment"]["digest"] = None
    facts["analysis"] |= {"git_commit": None, "committed": False, "label": "pca@dev"}
    for stack in facts["stacks"]:
        stack |= {"status": status, "inputs": [], "outputs": [], "attempts": [], "cost_dollars": "0"}
    lost = {"started_at": None, "ended_at": None, "exit_code": None, "sandbox": None, "usage": None}
    instance = {
        "provider": "local",
        "type": "",
        "price": "standard",
        "vcpus": 1,
        "memory_mib": 1,
        "gpus": 0,
        "host": None,
    }
    lost |= {"number": 1, "reason": "INSTANCE_LOST", "message": "", "instance": instance, "cost_dollars": "0"}
    facts["stacks"][0]["attempts"] = [lost]
    assert verify(seal(facts, key), trusted).outcome is Outcome.VALID


def test_odd_values_of_a_config_survive_writing_and_reading(
    facts: dict[str, Any], key: SigningKey, trusted: TrustedKeys
) -> None:
    facts["config"] = {
        "integer": 2**64 + 1,
        "negative": -(2**60),
        "float": [1e-300, 0.1, 1e22, -0.0, 5e-324, 1e300],
        "": {"": 2**70},
        "text": "line\nbreak \U0001f42d \u2028 é e\u0301",
        "nested": [[], {}, None, True, [{"": "7"}]],
    }
    sealed = seal(facts, key)
    assert sealed["config"] == facts["config"]
    for ascii_only in (True, False):
        read = json.loads(json.dumps(sealed, ensure_ascii=ascii_only))
        assert verify(read, trusted).outcome is Outcome.VALID


def test_a_name_with_bytes_that_are_no_text_is_written_with_question_marks(
    facts: dict[str, Any], key: SigningKey, trusted: TrustedKeys
) -> None:
    facts["stacks"][0]["message"] = "no file b\udcff.tif"
    sealed = seal(facts, key)
    assert sealed["stacks"][0]["message"] == "no file b?.tif"
    assert verify(sealed, trusted).outcome is Outcome.VALID


def test_money_is_written_plainly(facts: dict[str, Any], key: SigningKey) -> None:
    assert seal(facts, key)["stacks"][1]["cost_dollars"] == "0.000000002"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (2**53, {"": str(2**53)}),
        ({"": 2**53}, {"": {"": str(2**53)}}),
        ({"": "1"}, {"": ["1"]}),
        ({"": ["1"]}, {"": [["1"]]}),
        (2**53, 2**53 + 1),
        (2**53, str(2**53)),
        (1, True),
        (None, ""),
    ],
)
def test_different_values_have_different_canonical_forms(one: object, other: object) -> None:
    assert canonical(one) != canonical(other)
