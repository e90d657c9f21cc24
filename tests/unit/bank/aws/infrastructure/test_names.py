"""Names fit where AWS wants them, and no two things share one."""

from __future__ import annotations

import re

from neurocaas.bank.aws.infrastructure import names

ACCOUNT = "123456789012"


def test_a_buckets_name_fits_whatever_the_analysis_is_called() -> None:
    for analysis in ("pca", "a" * 63):
        name = names.bucket("a-stack-of-20-letter", names.box(analysis), ACCOUNT)
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", name)
    assert names.bucket("neurocaas", names.box("pca"), ACCOUNT) == f"neurocaas-box-pca-{ACCOUNT}"


def test_long_names_that_begin_alike_stay_apart() -> None:
    one, other = (names.box_user("neurocaas", "g" * 80, f"{'u' * 60}{end}") for end in "ab")
    assert one != other
    assert len(one) <= 64


def test_a_users_name_tells_group_and_user_apart() -> None:
    assert names.box_user("s1", "a-b", "c") != names.box_user("s1", "a", "b-c")


def test_logical_ids_are_letters_and_digits_and_part_what_falls_together() -> None:
    ids = {names.logical_id("Box", one) for one in ("a-b", "a.b", "ab", "a_b")}
    assert len(ids) == 4
    assert all(one.isalnum() for one in ids)


def test_the_store_is_no_analysis_box() -> None:
    assert names.box("store") != names.STORE
