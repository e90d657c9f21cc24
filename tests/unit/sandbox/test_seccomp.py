from __future__ import annotations

import errno
import struct

import pytest

from neurocaas.sandbox import seccomp

ALLOW, FAIL = 0x7FFF0000, 0x00050000
X86_64, I386 = 0xC000003E, 0x40000003


def answer(number: int, first_argument: int = 0, architecture: int = X86_64) -> int:
    """What the filter answers to a call, by running its program."""
    code = seccomp.program("x86_64")
    assert code is not None
    lines = list(struct.iter_unpack("=HBBI", code))
    data = {0: number, 4: architecture, 16: first_argument}
    loaded = place = 0
    while True:
        operation, if_true, if_false, value = lines[place]
        place += 1
        if operation == 0x06:
            return int(value)
        if operation == 0x20:
            loaded = data[value]
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[operation]
            place += if_true if holds else if_false


@pytest.mark.parametrize("number", [0, 1, 57, 59, 257])
def test_ordinary_calls_pass(number: int) -> None:
    assert answer(number) == ALLOW


@pytest.mark.parametrize("number", [56, 272])
def test_clone_and_unshare_pass_without_a_user_namespace_only(number: int) -> None:
    assert answer(number, 0x00020000) == ALLOW
    assert answer(number, 0x10020000) == FAIL | errno.EPERM


@pytest.mark.parametrize("number", [248, 249, 250, 321, 298, 323])
def test_dangerous_calls_are_refused(number: int) -> None:
    assert answer(number) == FAIL | errno.EPERM


def test_clone3_and_foreign_tables_are_not_implemented() -> None:
    assert answer(435) == FAIL | errno.ENOSYS
    assert answer(0x40000001) == FAIL | errno.ENOSYS
    assert answer(1, architecture=I386) == FAIL | errno.ENOSYS


def test_an_unknown_machine_has_no_filter() -> None:
    assert seccomp.program("riscv64") is None
    assert seccomp.program("aarch64")
