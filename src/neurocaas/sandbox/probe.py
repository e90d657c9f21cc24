"""What of the sandbox works on this machine, and how to get what is missing: for `neurocaas doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neurocaas.errors import NeurocaasError, Unavailable
from neurocaas.sandbox import bubblewrap
from neurocaas.sandbox.bubblewrap import Identity
from neurocaas.sandbox.captured import run
from neurocaas.sandbox.choice import choose_cage
from neurocaas.sandbox.view import MIB, Limits, View

TRY_SECONDS = 20.0
NOBODY = 65534
TOOLS = ("/usr/bin/setpriv", "/usr/bin/prlimit")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """works: a command was run in a sandbox here. remedy: what to do when it was not."""

    works: bool
    bubblewrap: str
    identity: str
    limits: str
    cage: str
    problem: str = ""
    remedy: str = ""


def probe() -> Probe:
    """Try a sandbox on this machine. Never raises."""
    identity = bubblewrap.identity_of_this_process()
    cage = choose_cage()
    found, problem, remedy = "", "", ""
    try:
        found = ".".join(map(str, bubblewrap.version()))
        problem, remedy = _tried(identity)
    except NeurocaasError as cause:
        problem, remedy = cause.message, cause.remedy
    return Probe(
        works=not problem,
        bubblewrap=found,
        identity=describe_identity(identity),
        limits=cage.describe(),
        cage=cage.name,
        problem=problem,
        remedy=remedy,
    )


def describe_identity(identity: Identity, host_uid: int | None = None) -> str:
    """One sentence about who a workflow is on this machine."""
    if identity is Identity.HOST_UID:
        who = "a host uid of its own" if host_uid is None else f"host uid {host_uid}"
        return f"Workflows run as {who}, never root, without a user namespace."
    return "Workflows run as this user inside a user namespace."


def _tried(identity: Identity) -> tuple[str, str]:
    """The problem and its remedy; both empty when a sandbox could be made."""
    for tool in TOOLS:
        if not Path(tool).exists():
            return f"{tool} is missing.", "Install it with: sudo apt-get install util-linux"
    host_uid = NOBODY if identity is Identity.HOST_UID else None
    view = View(command=("/bin/sh", "-c", "exit 7"), host_uid=host_uid)
    try:
        finished = run(view, limits=Limits(memory_bytes=64 * MIB, processes=32), timeout_seconds=TRY_SECONDS)
    except Unavailable as cause:
        return cause.message, cause.remedy
    if finished.exit_code == 7:
        return "", ""
    said = finished.stderr.decode(errors="replace").strip().splitlines()
    return f"bubblewrap could not make a sandbox: {said[-1] if said else 'it said nothing'}.", remedy_for(identity)


def remedy_for(identity: Identity, *, proc: Path = Path("/proc/sys")) -> str:
    """What usually stands in bubblewrap's way, read from the kernel's settings below `proc`."""
    if identity is Identity.HOST_UID:
        return (
            "Inside a container, start it with CAP_SYS_ADMIN (--privileged), or run the platform as an ordinary user."
        )
    if _setting(proc / "kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor keeps ordinary users from user namespaces (Ubuntu 24.04 and later). Allow them with: "
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if _setting(proc / "kernel/unprivileged_userns_clone") == "0":
        return (
            "User namespaces are off for ordinary users. Allow them: sudo sysctl -w kernel.unprivileged_userns_clone=1"
        )
    if _setting(proc / "user/max_user_namespaces") == "0":
        return "User namespaces are off. Allow them with: sudo sysctl -w user.max_user_namespaces=15000"
    return "User namespaces seem to be forbidden here: ask the machine's administrator to allow them, or start as root."


def _setting(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
