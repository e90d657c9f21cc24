"""A small system call filter beside the namespaces: what no analysis needs and kernels were broken through.

No new user namespaces (through them an unprivileged program becomes root over its own mounts), no kernel keyrings,
bpf, perf events, userfaultfd, and no foreign system call tables. `clone3` answers "not implemented", so that the C
library falls back to `clone`, whose flags a filter can see; Docker's default profile does the same.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import struct

_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW = 0x7FFF0000
_FAIL = 0x00050000
_CLONE_NEWUSER = 0x10000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_X32_BIT = 0x40000000
_CLONE3 = 435

# machine: (audit architecture, clone, unshare, calls that are refused)
# Refused, in this order: add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd.
_TABLES = {
    "x86_64": (0xC000003E, 56, 272, (248, 249, 250, 321, 298, 323)),
    "aarch64": (0xC00000B7, 220, 97, (217, 218, 219, 280, 241, 282)),
}


def profile() -> bytes:
    """The same filter in the words of container engines, a JSON document for --security-opt seccomp=FILE."""
    refused = ["add_key", "request_key", "keyctl", "bpf", "perf_event_open", "userfaultfd"]
    into_user_namespace = {
        "index": 0,
        "op": "SCMP_CMP_MASKED_EQ",
        "value": _CLONE_NEWUSER,
        "valueTwo": _CLONE_NEWUSER,
    }
    rules = [
        {"names": refused, "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
        {
            "names": ["clone", "unshare"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": errno.EPERM,
            "args": [into_user_namespace],
        },
    ]
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}).encode()


@functools.cache
def program(machine: str = "") -> bytes | None:
    """The compiled filter for bubblewrap's --seccomp; None on a machine whose call numbers are not known here."""
    table = _TABLES.get(machine or os.uname().machine)
    if table is None:
        return None
    architecture, clone, unshare, refused = table
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
    ]
    for number in refused:
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _FAIL | errno.EPERM)]
    code += [
        (_EQUAL, 2, 0, clone),
        (_EQUAL, 1, 0, unshare),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _CLONE_NEWUSER),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in code)
