"""Install the few system programs that no Python package brings, or say in one sentence how a person can.

usage: system_packages.py demo|test      (standard library only: it runs before anything is set up)
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

INSTALL_MINUTES = 15


def certificates_are_there() -> bool:
    """Authorities by which package registries are trusted: a file, or a folder with any in it."""
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile) or (paths.capath is not None and any(Path(paths.capath).iterdir()))


def bubblewrap_is_there() -> bool:
    return shutil.which("bwrap") is not None


def setpriv_is_there() -> bool:
    return shutil.which("setpriv") is not None


def postgresql_is_there() -> bool:
    """The server's programs; Debian keeps them off PATH, in a folder of their version."""
    return shutil.which("postgres") is not None or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


def chromium_is_there() -> bool:
    return shutil.which("chromium") is not None


def nginx_is_there() -> bool:
    """What the speed of uploads is compared with. Debian keeps it in a folder that only root has on PATH."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is not None


def slurm_is_there() -> bool:
    """Its daemons, of which tests make a cluster; Debian keeps them in a folder that only root has on PATH."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return all(shutil.which(name, path=path) is not None for name in ("slurmctld", "slurmd", "sbatch"))


def munge_is_there() -> bool:
    """By which Slurm's daemons know each other."""
    return shutil.which("munged", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is not None


def podman_is_there() -> bool:
    return shutil.which("podman") is not None


def runc_is_there() -> bool:
    """What Podman starts containers with in tests: Debian's other choice refuses machines with both cgroup versions."""
    return shutil.which("runc", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is not None


def catatonit_is_there() -> bool:
    """The first process of Podman's containers."""
    return shutil.which("catatonit") is not None


def mmdebstrap_is_there() -> bool:
    return shutil.which("mmdebstrap") is not None


def docker_registry_is_there() -> bool:
    return shutil.which("docker-registry") is not None


RUNNING: dict[str, Callable[[], bool]] = {
    "ca-certificates": certificates_are_there,
    "bubblewrap": bubblewrap_is_there,
    "util-linux": setpriv_is_there,
}
TESTING: dict[str, Callable[[], bool]] = {
    **RUNNING,
    "postgresql": postgresql_is_there,
    "chromium": chromium_is_there,
    "nginx": nginx_is_there,
    "slurm-wlm": slurm_is_there,
    "munge": munge_is_there,
    "podman": podman_is_there,
    "runc": runc_is_there,
    "catatonit": catatonit_is_there,
    "mmdebstrap": mmdebstrap_is_there,
    "docker-registry": docker_registry_is_there,
}
PURPOSES = {"demo": RUNNING, "test": TESTING}


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in PURPOSES:
        sys.exit(__doc__)
    wanted = PURPOSES[sys.argv[1]]
    if missing := missing_packages(wanted):
        install(missing)
        if missing := missing_packages(wanted):
            sys.exit(f"setup: apt-get ended well but {names(missing)} cannot be found on PATH: check the installation.")


def missing_packages(wanted: dict[str, Callable[[], bool]]) -> list[str]:
    return [package for package, is_there in wanted.items() if not is_there()]


def names(packages: list[str]) -> str:
    return " and ".join(packages)


def install(packages: list[str]) -> None:
    """Through apt-get as root or passwordless sudo; ends the program with one sentence when that cannot be."""
    if shutil.which("apt-get") is None:
        sys.exit(f"setup: {names(packages)} must be installed with this system's package manager: there is no apt-get.")
    prefix = administrator()
    by_hand = f"sudo apt-get update && sudo apt-get install -y --no-install-recommends {' '.join(packages)}"
    if prefix is None:
        sys.exit(f"setup: {names(packages)} must be installed by an administrator of this machine, with: {by_hand}")
    print(f"setup: installing {names(packages)} with apt-get", file=sys.stderr)
    command = ["install", "-y", "-q", "--no-install-recommends", *packages]
    # The lists of a fresh machine are empty or old; an update costs seconds, so it comes only after a failure.
    if apt_get(prefix, command).returncode == 0:
        return
    apt_get(prefix, ["update", "-q"])
    answer = apt_get(prefix, command)
    if answer.returncode != 0:
        sys.stderr.write(answer.stdout)
        sys.exit(f"setup: apt-get could not install {names(packages)} (its words are above); try: {by_hand}")


def administrator() -> list[str] | None:
    """What to put before a command to run it as root; None when this user cannot without a password."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


def apt_get(prefix: list[str], arguments: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_MINUTES * 60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"setup: apt-get {arguments[0]} was still running after {INSTALL_MINUTES} minutes: run it by hand.")


if __name__ == "__main__":
    main()
