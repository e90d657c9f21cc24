"""A View as bubblewrap's argument list, for the two identities the platform can have on a machine.

Started by root there is no user namespace: inside one, uid 1000 can be uid 0 of the machine. bubblewrap keeps just
the capabilities with which `setpriv` then moves to the View's host uid and gives everything up. Started by an
ordinary user a user namespace is what makes the mounts possible, and no further one may be made inside.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

from neurocaas.errors import Refused, Unavailable
from neurocaas.sandbox.view import Limits, View

INSIDE_UID = 1000
SIZED_TMPFS_SINCE = (0, 7)
DISABLE_USERNS_SINCE = (0, 8)
INSTALL = "Install it with: sudo apt-get install bubblewrap"
BINARIES = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
SETTINGS = ("ld.so.cache", "alternatives", "ssl/certs", "localtime", "R")
NETWORK_SETTINGS = ("resolv.conf", "nsswitch.conf")

Descriptor = Callable[[bytes], int]


class Identity(StrEnum):
    """Who the sandboxed command is on this machine."""

    HOST_UID = "own host uid"
    USER_NAMESPACE = "user namespace"


def identity_of_this_process() -> Identity:
    return Identity.HOST_UID if os.geteuid() == 0 else Identity.USER_NAMESPACE


@functools.cache
def program() -> str:
    """Path of bubblewrap. Raises Unavailable with the command that installs it."""
    found = shutil.which("bwrap")
    if found is None:
        raise Unavailable("bubblewrap is missing: bwrap is not on PATH.", remedy=INSTALL)
    return found


@functools.cache
def version() -> tuple[int, ...]:
    """bubblewrap's version, for example (0, 8, 0)."""
    printed = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in re.findall(r"\d+", printed))


def arguments(
    view: View,
    *,
    identity: Identity,
    limits: Limits,
    process_limit: int | None,
    descriptor: Descriptor,
) -> list[str]:
    """The whole command line that runs `view.command` in its sandbox.

    descriptor: makes an inheritable file descriptor from which bubblewrap reads the given bytes.
    process_limit: refused by the kernel above it (RLIMIT_NPROC), for cages that can't count processes themselves.
    Raises Refused for a View that would give the command root or a mount outside of the tree.
    """
    _check(view, identity)
    words = [program(), *_namespaces(view, identity), *_privileges(identity), *_system(view, identity, descriptor)]
    words += _devices(view, limits)
    for target in view.temporary:
        words += [*_size(view.temporary_bytes), "--perms", "1777", "--tmpfs", target]
    words += _parents(view)
    for target, content in view.files.items():
        words += ["--perms", "0444", "--file", str(descriptor(content)), target]
    for mount in view.mounts:
        words += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
    # The root of the view is memory too; read-only, nothing can grow there and the generated /etc stays as it is.
    words += ["--remount-ro", "/", "--chdir", view.cwd, "--clearenv"]
    for name, value in view.variables.items():
        words += ["--setenv", name, value]
    return [*words, "--", *_descent(view, identity, process_limit), *view.command]


def _check(view: View, identity: Identity) -> None:
    if identity is Identity.HOST_UID and not view.host_uid:
        raise Refused("The platform runs as root, so a sandboxed command needs a host uid of its own, other than 0.")
    for target in (*view.temporary, *view.files, *(mount.target for mount in view.mounts)):
        if not target.startswith("/") or ".." in target.split("/") or not target.strip("/."):
            raise Refused(f"A path inside the sandbox is absolute, below / and without '..'; {target!r} is not.")


def _namespaces(view: View, identity: Identity) -> Iterator[str]:
    yield from ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "instance")
    if not view.network:
        yield "--unshare-net"
    if identity is Identity.USER_NAMESPACE:
        yield from ("--unshare-user", "--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID))
        if version() >= DISABLE_USERNS_SINCE:
            yield "--disable-userns"
    yield from ("--new-session", "--die-with-parent")


def _privileges(identity: Identity) -> Iterator[str]:
    """No capability but the three `setpriv` needs to give the rest up. bubblewrap always sets no-new-privileges."""
    yield from ("--cap-drop", "ALL")
    if identity is Identity.HOST_UID:
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            yield from ("--cap-add", capability)


def _system(view: View, identity: Identity, descriptor: Descriptor) -> Iterator[str]:
    """/usr, the names that lead into it, and as little of /etc as programs need."""
    yield from ("--ro-bind", "/usr", "/usr", "--proc", "/proc", *ways_into_usr())
    yield from ("--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/etc/ssl")
    for name in (*SETTINGS, *(NETWORK_SETTINGS if view.network else ())):
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    for name, content in _accounts(view, identity).items():
        yield from ("--perms", "0444", "--file", str(descriptor(content.encode())), f"/etc/{name}")


@functools.cache
def ways_into_usr() -> tuple[str, ...]:
    """/bin, /lib and their like: links on most systems, folders of their own on some."""
    words: list[str] = []
    for folder in (Path("/", name) for name in BINARIES):
        if folder.is_symlink():
            words += ["--symlink", str(folder.readlink()).lstrip("/"), str(folder)]
        elif folder.is_dir():
            words += ["--ro-bind", str(folder), str(folder)]
    return tuple(words)


def _parents(view: View) -> Iterator[str]:
    """The folders above the mounts and files, readable: bubblewrap would make them for itself alone."""
    made = {"/usr", "/etc", "/dev", "/proc"}
    covered: list[str] = []
    for target in (*view.files, *(mount.target for mount in view.mounts)):
        if not any(target.startswith(above) for above in covered):
            parts = target.split("/")
            for end in range(2, len(parts)):
                folder = "/".join(parts[:end])
                if folder not in made:
                    made.add(folder)
                    yield from ("--perms", "0755", "--dir", folder)
        if target not in view.files:
            covered.append(f"{target}/")


def _accounts(view: View, identity: Identity) -> dict[str, str]:
    uid = INSIDE_UID if identity is Identity.USER_NAMESPACE else view.host_uid
    home = view.variables.get("HOME", "/")
    return {
        "passwd": f"root:x:0:0:root:/:/bin/false\nworkflow:x:{uid}:{uid}:workflow:{home}:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/:/bin/false\n",
        "group": f"root:x:0:\nworkflow:x:{uid}:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost instance\n::1 localhost instance\n",
    }


def _devices(view: View, limits: Limits) -> Iterator[str]:
    """A /dev of its own. It lies in memory, so all of it is read-only except a /dev/shm of bounded size."""
    yield from ("--dev", "/dev")
    for device in view.devices:
        yield from ("--dev-bind-try", device, device)
    if version() >= SIZED_TMPFS_SINCE:
        yield from (*_size(limits.shared_memory_bytes), "--perms", "1777", "--tmpfs", "/dev/shm")  # noqa: S108 - a path inside
    yield from ("--remount-ro", "/dev")


def _size(size_bytes: int) -> tuple[str, ...]:
    return ("--size", str(size_bytes)) if version() >= SIZED_TMPFS_SINCE else ()


def _descent(view: View, identity: Identity, process_limit: int | None) -> Iterator[str]:
    """The words that run before the command, inside: the hard process limit, then the way down from root."""
    if process_limit is not None:
        # Set inside: there the kernel counts the user's processes in this user namespace alone (Linux 5.14).
        yield from ("/usr/bin/prlimit", f"--nproc={process_limit}:{process_limit}")
    if identity is Identity.HOST_UID:
        uid = str(view.host_uid)
        yield from ("/usr/bin/setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--no-new-privs")
        yield from ("--bounding-set=-all", "--inh-caps=-all", "--")
