"""A served site for simulated users: the real command, an analysis of one line of bash, accounts in several groups.

`python -m benchmarks.users.lab ROOT USERS` makes the accounts, in a process that Django is set up in, and prints them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from neurocaas.settings import Settings, read_settings

ANALYSIS = "tiny"
SCRIPT = 'tr a-z A-Z < "$NEUROCAAS_INPUT_DATA" > "$NEUROCAAS_RESULTS/out.txt"\n'
BLUEPRINT = {
    "name": ANALYSIS,
    "title": "Capitals",
    "summary": "Writes what it reads in capitals.",
    "environment": {"kind": "python", "python": "3.11", "lock": "requirements.lock"},
    "workflow": {"command": ["bash", "/workflow/workflow.sh"], "files": ["workflow.sh"]},
    "inputs": {"data": {"title": "Text", "kinds": [".txt"]}},
    "parameters": {"type": "object", "additionalProperties": False, "properties": {}},
    "hardware": {"vcpus": 1, "memory_gib": "0.25", "storage_gib": "0.1"},
    "limits": {"timeout_minutes": 5, "attempts": 3},
}
GROUPS = 10
NEUROCAAS = Path(sys.executable).with_name("neurocaas")


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user with an API token and the cookie of a browser that signed in. groups: the ones they work in, in turn."""

    user: str
    token: str
    session: str
    groups: tuple[str, ...]


def make_site(folder: Path) -> Settings:
    """A site with the analysis."""
    root = folder / "site"
    subprocess.run([NEUROCAAS, "init", root], check=True, capture_output=True)
    analysis = root / "analyses" / ANALYSIS
    analysis.mkdir()
    (analysis / "blueprint.json").write_text(json.dumps(BLUEPRINT, indent=1))
    (analysis / "workflow.sh").write_text(SCRIPT)
    (analysis / "requirements.lock").write_text("")
    identity = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@localhost")
    for command in (("add", "--all"), ("commit", "--quiet", "--message", f"Declare {ANALYSIS}")):
        subprocess.run(["git", *identity, "-C", root, *command], check=True, capture_output=True)
    return read_settings(root)


def make_accounts(settings: Settings, users: int) -> list[Account]:
    """So many people; each belongs to two or three of ten groups."""
    command = [sys.executable, "-m", "benchmarks.users.lab", str(settings.root), str(users)]
    made = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if made.returncode != 0:
        sys.exit(f"The accounts could not be made:\n{made.stderr}")
    return [Account(**one | {"groups": tuple(one["groups"])}) for one in json.loads(made.stdout)]


@contextlib.contextmanager
def serving(settings: Settings, log: Path) -> Iterator[str]:
    """`neurocaas serve` as long as the block lasts. Gives its address."""
    with log.open("w") as stream:
        process = subprocess.Popen(
            [NEUROCAAS, "--site", settings.root, "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if " at http://" not in said:
            sys.exit(f"The site is not served: {log.read_text()}")
        yield said.split(" at ")[1].strip()
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def groups_of(number: int) -> tuple[str, ...]:
    """The groups of the user with this number."""
    chosen = {number % GROUPS, (3 * number + 1) % GROUPS, (number // GROUPS + 5) % GROUPS}
    return tuple(f"lab-{one}" for one in sorted(chosen))


def _make_accounts(root: Path, users: int) -> list[Account]:
    from neurocaas.server.serving.configuration import connect_fully

    site = connect_fully(read_settings(root))

    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from neurocaas.blueprint.profile import Profile, UserProfile
    from neurocaas.server.accounts.models import User
    from neurocaas.server.accounts.tokens import issue
    from neurocaas.server.groups.publishing import create_group

    names = [f"user-{number:02d}" for number in range(users)]
    belong = {name: groups_of(number) for number, name in enumerate(names)}
    for group in sorted({group for groups in belong.values() for group in groups}):
        members = {name: UserProfile(role="owner") for name, groups in belong.items() if group in groups}
        create_group(site, Profile(name=group, users=members))

    def account(name: str) -> Account:
        user = User(username=name, email=f"{name}@example.org")
        user.set_unusable_password()
        user.save()
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "allauth.account.auth_backends.AuthenticationBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        token = issue(user, name="benchmark", scope="write", days=1)[1]
        return Account(user=name, token=token, session=str(session.session_key), groups=belong[name])

    return [account(name) for name in names]


if __name__ == "__main__":
    os.umask(0o077)
    print(json.dumps([asdict(one) for one in _make_accounts(Path(sys.argv[1]), int(sys.argv[2]))]))
