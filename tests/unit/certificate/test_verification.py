"""A certificate is valid, or altered (and where), or under a key nobody here knows."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocaas.certificate import Outcome, SigningKey, TrustedKeys, read_certificate, seal, verify
from neurocaas.errors import NotFound, Refused

SEAL_ALTERED = "The seal was altered, so nothing in this certificate can be relied upon."
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(max_size=3), inside, max_size=2),
    max_leaves=4,
)
Place = tuple[str | int, ...]


def _places(value: Any, here: Place = ()) -> list[Place]:
    """The path of every value in the document, leaves and containers."""
    inside: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    found = [here] if here else []
    for name, item in inside:
        found += _places(item, (*here, name))
    return found


def _section(place: Place) -> str:
    return f"stacks/{place[1]}" if place[0] == "stacks" and len(place) > 1 else str(place[0])


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _holder(document: Any, place: Place) -> Any:
    for part in place[:-1]:
        document = document[part]
    return document


UNCHANGING = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])


@UNCHANGING
@given(data=st.data())
def test_any_one_changed_value_is_found_and_its_section_named(
    certificate: dict[str, Any], trusted: TrustedKeys, data: st.DataObject
) -> None:
    altered = copy.deepcopy(certificate)
    place = data.draw(st.sampled_from(_places(certificate)))
    holder = _holder(altered, place)
    value = data.draw(JSON)
    if _same(holder[place[-1]], value):
        assert verify(altered, trusted).outcome is Outcome.VALID
        return
    holder[place[-1]] = value
    verdict = verify(altered, trusted)
    assert verdict.outcome is Outcome.ALTERED
    if place[0] == "seal":
        assert verdict.alterations == (SEAL_ALTERED,)
    elif place == ("stacks",):
        assert all('"stacks' in sentence for sentence in verdict.alterations)
    else:
        expected = f'The section "{_section(place)}" was altered after the certificate was sealed.'
        assert verdict.alterations == (expected,)


@UNCHANGING
@given(data=st.data())
def test_any_one_removed_value_is_found(certificate: dict[str, Any], trusted: TrustedKeys, data: st.DataObject) -> None:
    altered = copy.deepcopy(certificate)
    place = data.draw(st.sampled_from([place for place in _places(certificate) if place != ("format",)]))
    del _holder(altered, place)[place[-1]]
    verdict = verify(altered, trusted)
    assert verdict.outcome is Outcome.ALTERED
    if place[0] == "seal":
        assert verdict.alterations == (SEAL_ALTERED,)
    elif place[0] != "stacks":
        assert len(verdict.alterations) == 1
        assert f'"{place[0]}"' in verdict.alterations[0]


@UNCHANGING
@given(data=st.data(), name=st.text(max_size=4), value=JSON)
def test_any_one_added_value_is_found(
    certificate: dict[str, Any], trusted: TrustedKeys, data: st.DataObject, name: str, value: Any
) -> None:
    altered = copy.deepcopy(certificate)
    holders = [place for place in _places(certificate) if isinstance(_holder(certificate, (*place, "")), dict | list)]
    holder = _holder(altered, (*data.draw(st.sampled_from([(), *holders])), ""))
    if isinstance(holder, list):
        holder.append(value)
    elif name in holder:
        return
    else:
        holder[name] = value
    assert verify(altered, trusted).outcome is Outcome.ALTERED


def test_an_untouched_certificate_is_valid_and_says_by_whom(
    certificate: dict[str, Any], trusted: TrustedKeys, key: SigningKey
) -> None:
    verdict = verify(certificate, trusted)
    assert verdict.outcome is Outcome.VALID
    assert (verdict.sealed_by, verdict.key_id, verdict.alterations) == ("Bench Lab", key.key_id, ())


def test_the_order_of_fields_and_the_layout_do_not_count(certificate: dict[str, Any], trusted: TrustedKeys) -> None:
    other = json.loads(json.dumps(certificate, sort_keys=True, ensure_ascii=True))
    assert verify(other, trusted).outcome is Outcome.VALID


def test_stacks_changed_places_or_taken_away_are_named(certificate: dict[str, Any], trusted: TrustedKeys) -> None:
    swapped = {**certificate, "stacks": certificate["stacks"][::-1]}
    assert [sentence.split('"')[1] for sentence in verify(swapped, trusted).alterations] == ["stacks/0", "stacks/1"]
    shorter = {**certificate, "stacks": certificate["stacks"][:1]}
    assert verify(shorter, trusted).alterations == (
        'The section "stacks/1" is missing; the sealed certificate had it.',
    )
    longer = {**certificate, "stacks": [*certificate["stacks"], certificate["stacks"][0]]}
    assert verify(longer, trusted).alterations == (
        'The section "stacks/2" was added after the certificate was sealed.',
    )


def test_a_stack_can_not_hide_as_a_field_of_its_own(certificate: dict[str, Any], trusted: TrustedKeys) -> None:
    hidden = {**certificate, "stacks/0": certificate["stacks"][0], "stacks/1": certificate["stacks"][1]}
    del hidden["stacks"]
    assert verify(hidden, trusted).outcome is Outcome.ALTERED


@pytest.mark.parametrize("stacks", [{}, None, "", 0])
def test_a_job_without_stacks_still_guards_that_it_has_none(
    facts: dict[str, Any], key: SigningKey, trusted: TrustedKeys, stacks: object
) -> None:
    certificate = seal({**facts, "stacks": []}, key)
    assert verify(certificate, trusted).outcome is Outcome.VALID
    assert verify({**certificate, "stacks": stacks}, trusted).outcome is Outcome.ALTERED


def test_a_certificate_sealed_by_somebody_else_has_an_unknown_key(
    facts: dict[str, Any], trusted: TrustedKeys, tmp_path: Path
) -> None:
    other = SigningKey.create(tmp_path / "other.pem")
    verdict = verify(seal(facts, other), trusted)
    assert verdict.outcome is Outcome.UNKNOWN_KEY
    assert (verdict.key_id, verdict.sealed_by) == (other.key_id, None)


def test_an_altered_certificate_under_an_unknown_key_is_altered(facts: dict[str, Any], tmp_path: Path) -> None:
    certificate = seal(facts, SigningKey.create(tmp_path / "other.pem"))
    certificate["seed"] = 8
    verdict = verify(certificate, TrustedKeys(tmp_path / "none"))
    assert verdict.outcome is Outcome.ALTERED
    assert verdict.sealed_by is None


def test_a_seal_of_one_key_can_not_name_another(
    facts: dict[str, Any], key: SigningKey, trusted: TrustedKeys, tmp_path: Path
) -> None:
    forged = seal(facts, SigningKey.create(tmp_path / "other.pem"))
    genuine = seal(facts, key)["seal"]
    for stolen in (("key_id",), ("public_key",), ("key_id", "public_key"), ("signature",)):
        seal_of_two = {**forged["seal"], **{name: genuine[name] for name in stolen}}
        assert verify({**forged, "seal": seal_of_two}, trusted).alterations == (SEAL_ALTERED,)


def test_another_format_is_refused_unless_it_was_put_there_later(
    certificate: dict[str, Any], trusted: TrustedKeys
) -> None:
    assert verify({**certificate, "format": "neurocaas-certificate/1"}, trusted).alterations == (
        'The section "format" was altered after the certificate was sealed.',
    )
    for none in ({}, {"format": "else"}, {"seal": []}):
        with pytest.raises(Refused, match="not a certificate"):
            verify(none, trusted)


class TestResults:
    """The files beside the certificate."""

    def test_results_as_delivered_are_valid(
        self, certificate: dict[str, Any], trusted: TrustedKeys, results: Path
    ) -> None:
        assert verify(certificate, trusted, results).outcome is Outcome.VALID
        for kind in ("certificate.json", "certificate.txt", "fly/log.txt"):
            (results / kind).unlink()
        assert verify(certificate, trusted, results).outcome is Outcome.VALID

    def test_an_altered_a_missing_and_an_unexpected_file_are_each_named(
        self, certificate: dict[str, Any], trusted: TrustedKeys, results: Path
    ) -> None:
        (results / "mouse 1" / "components.npy").write_bytes(b"componentz")
        (results / "fly" / "partial.npy").unlink()
        (results / "fly" / "more.npy").write_bytes(b"")
        (results / "mouse 1" / "certificate.json").write_bytes(b"")
        (results / "log.txt").write_bytes(b"")
        verdict = verify(certificate, trusted, results)
        assert verdict.outcome is Outcome.ALTERED
        assert [(sentence.split('"')[1], sentence.split('"')[2].split()[:2]) for sentence in verdict.alterations] == [
            ("fly/partial.npy", ["is", "missing."]),
            ("mouse 1/components.npy", ["was", "altered:"]),
            ("fly/more.npy", ["is", "unexpected:"]),
            ("log.txt", ["is", "unexpected:"]),
            ("mouse 1/certificate.json", ["is", "unexpected:"]),
        ]

    def test_an_emptied_a_grown_and_a_swapped_file_are_altered(
        self, certificate: dict[str, Any], trusted: TrustedKeys, results: Path
    ) -> None:
        path = results / "mouse 1" / "components.npy"
        for data in (b"", b"components.", b"figure"):
            path.write_bytes(data)
            assert "was altered" in verify(certificate, trusted, results).alterations[0]

    def test_a_link_is_not_taken_for_the_file(
        self, certificate: dict[str, Any], trusted: TrustedKeys, results: Path
    ) -> None:
        path = results / "fly" / "partial.npy"
        path.rename(results.parent / "elsewhere")
        path.symlink_to(results.parent / "elsewhere")
        assert verify(certificate, trusted, results).alterations == (
            'The result "fly/partial.npy" is a link or a device; a file is right.',
        )

    def test_names_that_a_disk_decomposes_are_the_same_names(
        self, certificate: dict[str, Any], trusted: TrustedKeys, results: Path
    ) -> None:
        path = results / "mouse 1" / "figures" / "größe 100%.png"
        path.rename(path.with_name("gro\u0308ße 100%.png"))
        assert verify(certificate, trusted, results).outcome is Outcome.VALID

    def test_an_unknown_key_does_not_hide_an_altered_result(
        self, certificate: dict[str, Any], tmp_path: Path, results: Path
    ) -> None:
        nobody = TrustedKeys(tmp_path / "none")
        assert verify(certificate, nobody, results).outcome is Outcome.UNKNOWN_KEY
        (results / "fly" / "partial.npy").unlink()
        assert verify(certificate, nobody, results).outcome is Outcome.ALTERED

    def test_results_that_are_no_folder_are_not_found(
        self, certificate: dict[str, Any], trusted: TrustedKeys, results: Path
    ) -> None:
        for path in (results / "nothing", results / "certificate.json"):
            with pytest.raises(NotFound, match="is not a folder"):
                verify(certificate, trusted, path)

    def test_paths_in_a_certificate_reach_no_file_outside(
        self, facts: dict[str, Any], key: SigningKey, trusted: TrustedKeys, results: Path
    ) -> None:
        (results.parent / "outside").write_bytes(b"secret")
        facts["stacks"][1]["outputs"][0]["path"] = "../../outside"
        alterations = verify(seal(facts, key), trusted, results).alterations
        assert 'The result "fly/../../outside" is missing.' in alterations


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"seed": NaN}',
        '{"seed": 1, "seed": 2}',
        '{"config": {"a": 1, "a": 1}}',
        "\xff",
        "[" * 100_000,
    ],
)
def test_a_file_that_is_no_certificate_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_bytes(text.encode("latin-1"))
    with pytest.raises(Refused, match=r"is not a certificate.*\.$"):
        read_certificate(tmp_path / "file")


def test_numbers_and_letters_that_json_can_spell_but_nobody_can_seal_are_altered(
    certificate: dict[str, Any], trusted: TrustedKeys, tmp_path: Path
) -> None:
    text = json.dumps(certificate)
    for odd in ("1e999", '"\\ud800"', "9" * 4000, '{"": "7"}'):
        (tmp_path / "file").write_text(
            text.replace('"seed": 7, "timeout_minutes"', f'"seed": {odd}, "timeout_minutes"')
        )
        assert verify(read_certificate(tmp_path / "file"), trusted).alterations == (
            'The section "seed" was altered after the certificate was sealed.',
        )


def test_a_missing_certificate_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        read_certificate(tmp_path / "none")
