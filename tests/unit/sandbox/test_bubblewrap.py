from __future__ import annotations

from pathlib import Path

import pytest

from neurocaas.errors import Refused
from neurocaas.sandbox import MIB, Identity, Limits, Mount, View, bubblewrap


def words(view: View, identity: Identity, process_limit: int | None = None, contents: list[bytes] | None = None) -> str:
    kept = contents if contents is not None else []

    def descriptor(content: bytes) -> int:
        kept.append(content)
        return 100 + len(kept)

    limits = Limits(memory_bytes=100 * MIB)
    return " ".join(
        bubblewrap.arguments(view, identity=identity, limits=limits, process_limit=process_limit, descriptor=descriptor)
    )


VIEW = View(command=("python", "run.py"), host_uid=60001)


def test_started_by_root_there_is_no_user_namespace_and_the_uid_is_dropped_inside() -> None:
    line = words(VIEW, Identity.HOST_UID)
    assert "--unshare-user" not in line
    assert "--cap-drop ALL --cap-add CAP_SETUID --cap-add CAP_SETGID --cap-add CAP_SETPCAP" in line
    assert line.endswith(
        "-- /usr/bin/setpriv --reuid 60001 --regid 60001 --clear-groups --no-new-privs --bounding-set=-all "
        "--inh-caps=-all -- python run.py"
    )


def test_started_by_a_user_there_is_a_user_namespace_and_no_capability() -> None:
    line = words(View(command=("true",)), Identity.USER_NAMESPACE, process_limit=9)
    assert "--unshare-user" in line
    assert "--cap-add" not in line
    assert line.endswith("-- /usr/bin/prlimit --nproc=9:9 true")


@pytest.mark.parametrize("host_uid", [None, 0])
def test_root_never_runs_a_command_as_root(host_uid: int | None) -> None:
    with pytest.raises(Refused, match="other than 0"):
        words(View(command=("true",), host_uid=host_uid), Identity.HOST_UID)


def test_the_root_folder_is_never_bound_and_ends_read_only() -> None:
    line = words(VIEW, Identity.HOST_UID)
    assert "bind / " not in line
    assert "--remount-ro / " in line
    assert line.index("--remount-ro / ") > line.index("--dev /dev")


@pytest.mark.parametrize("target", ["/", "relative", "/job/../etc", "//", "/."])
def test_a_target_outside_of_the_tree_is_refused(target: str) -> None:
    view = View(command=("true",), host_uid=60001, mounts=(Mount(source=Path("/usr"), target=target),))
    with pytest.raises(Refused, match="absolute"):
        words(view, Identity.HOST_UID)


def test_mounts_are_read_only_unless_said_otherwise_and_their_parents_can_be_entered() -> None:
    mounts = (Mount(source=Path("/a"), target="/job/in/a"), Mount(source=Path("/b"), target="/job/out", writable=True))
    line = words(View(command=("true",), host_uid=60001, mounts=mounts), Identity.HOST_UID)
    assert "--perms 0755 --dir /job --perms 0755 --dir /job/in --ro-bind /a /job/in/a --bind /b /job/out" in line


def test_shared_memory_has_a_size_and_the_rest_of_dev_is_read_only() -> None:
    line = words(VIEW, Identity.HOST_UID)
    assert f"--size {50 * MIB} --perms 1777 --tmpfs /dev/shm --remount-ro /dev" in line


def test_the_network_and_the_names_of_its_servers_come_only_when_asked() -> None:
    without = words(VIEW, Identity.HOST_UID)
    network = words(View(command=("true",), host_uid=60001, network=True), Identity.HOST_UID)
    assert "--unshare-net" in without
    assert "resolv.conf" not in without
    assert "--unshare-net" not in network
    assert "/etc/resolv.conf" in network


def test_the_accounts_are_generated_and_name_nobody_of_this_machine() -> None:
    contents: list[bytes] = []
    line = words(
        View(command=("true",), host_uid=60001, files={"/job/config.json": b"{}"}), Identity.HOST_UID, None, contents
    )
    assert b"workflow:x:60001:60001" in contents[0]
    assert len(contents[0].splitlines()) == 3
    assert contents[-1] == b"{}"
    assert "--dir /job --perms 0444 --file 104 /job/config.json" in line
    assert "/etc/passwd /" not in line


def test_no_variable_of_the_platform_is_passed_on() -> None:
    line = words(View(command=("true",), host_uid=60001, variables={"LANG": "C.UTF-8"}), Identity.HOST_UID)
    assert "--clearenv --setenv LANG C.UTF-8 --" in line
