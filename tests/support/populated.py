"""A served site with something to see on every page: groups, people, data, and jobs of every outcome.

As a module (`python -m support.populated ROOT`) it fills the site, in a process of its own: Django is set up there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.browsing import PASSWORD
from support.mail import mailbox
from support.served import served
from support.sites import make_site, until

TESTS = Path(__file__).resolve().parents[1]
LAB = "lovelace-lab"
ENDLESS = "echo Waiting for frames; while :; do echo frame $((++n)); sleep {}; done"


def _fill(root: Path) -> dict[str, Any]:
    from neurocaas.server.serving.configuration import connect_fully
    from neurocaas.settings import read_settings

    site = connect_fully(read_settings(root))
    from neurocaas.blueprint.profile import Profile, UserProfile
    from neurocaas.server.accounts.tokens import issue
    from neurocaas.server.groups.deploy import deploy_operators
    from neurocaas.server.groups.publishing import create_group

    for name in ("ada", "bob", "carol", "olga", "mia", "noa", "rosa"):
        new_user(name)
    members = {"ada": UserProfile(role="owner"), "bob": UserProfile(), "olga": UserProfile(), "mia": UserProfile()}
    create_group(site, Profile(name=LAB, title="Lovelace Lab", users=members, budget_dollars=500))
    create_group(site, Profile(name="other", users={"carol": UserProfile(role="owner"), "ada": UserProfile()}))
    deploy_operators(frozenset({"olga"}))
    _named("ada").__class__.objects.exclude(username__in=["noa", "rosa"]).update(current_group=LAB)
    token, _ = issue(_named("ada"), name="notebook", scope="manage", days=90)
    return {
        "token": token.pk,
        "invitation": _invitation(),
        "reset": _reset_key("rosa"),
        "recovery": _second_factor("mia"),
        **_jobs(site, root),
    }


def _named(name: str) -> Any:
    from neurocaas.server.accounts.models import User

    return User.objects.get(username=name)


def new_user(name: str) -> Any:
    """With PASSWORD, and an address that is verified."""
    from allauth.account.models import EmailAddress

    from neurocaas.server.accounts.models import User

    user = User.objects.create_user(name, f"{name}@example.org", PASSWORD)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def _second_factor(name: str) -> list[str]:
    """Codes, each of which signs in once."""
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    TOTP.activate(_named(name), generate_totp_secret())
    codes: list[str] = RecoveryCodes.activate(_named(name)).get_unused_codes()
    return codes


def _reset_key(name: str) -> str:
    """Of the link by which a forgotten password is set anew, as in the mail."""
    from allauth.account.forms import default_token_generator
    from allauth.account.utils import user_pk_to_url_str

    return f"{user_pk_to_url_str(_named(name))}-{default_token_generator.make_token(_named(name))}"


def _invitation() -> str:
    from neurocaas.server.accounts.enrolment import invite
    from neurocaas.server.groups.scope import caller

    return invite(caller("ada", LAB)).code


def _jobs(site: Any, root: Path) -> dict[str, Any]:
    """One that succeeds on sample data, one that fails, one that goes on until somebody cancels it."""
    from neurocaas.server.api.uploads import desk
    from neurocaas.server.catalogue.samples import samples
    from neurocaas.server.jobs import daemon
    from neurocaas.server.jobs.models import Job
    from neurocaas.server.jobs.submit import Request, submit
    from neurocaas.server.uploads.completing import store_file
    from neurocaas.server.uploads.staging import stage_items

    folder = root.parent / "recordings"
    pca = site.analyses.resolve("pca")
    until(lambda: samples.get(site, pca) is not None, 300)  # its environment is built first
    folder.mkdir()
    for file in samples.get(site, pca) or ():
        shutil.copy(file, folder)
    (folder / "damaged.npy").write_bytes((folder / "widefield.npy").read_bytes()[:100_000])
    (folder / "session-12.txt").write_text("Session 12, mouse 4.\n")
    items = {}
    for path in sorted(folder.iterdir()):
        (root.parent / "incoming").write_bytes(path.read_bytes())
        items[path.name] = str(store_file(desk(), LAB, "ada", path.name, root.parent / "incoming").id)

    def job(analysis: str, *names: str, user: str = "ada", **config: Any) -> str:
        asked = Request(
            analysis=analysis, data=tuple(items[name] for name in names), group=LAB, user=user, config=config
        )
        made = submit(site, asked, lambda blueprint, data, more: stage_items([LAB], blueprint, data, more))
        daemon.wake(site.settings)
        return made.id

    recordings = [name for name in items if name not in {"damaged.npy", "session-12.txt"}]
    jobs = {
        "succeeded": job("pca", *recordings, components=6),
        "failed": job("pca", recordings[0], "damaged.npy", user="bob"),
        "sweep": job("pca", recordings[0], components=3),
        "endless": job("watch-frames", "session-12.txt"),
    }
    ending = [jobs[name] for name in ("succeeded", "failed", "sweep")]
    until(lambda: not Job.objects.filter(pk__in=ending, ended_at=None).exists(), 240)
    return {"items": items, "jobs": jobs}


@dataclass(frozen=True, kw_only=True)
class Populated:
    """url: where it is served. items: staged data of `lovelace-lab` by name. jobs: by how they end. reset: of a mailed
    link. recovery: codes of mia's.

    ada owns `lovelace-lab` and is a member of `other`, which carol owns; bob, olga the operator, and mia, who has a
    second factor, are members of `lovelace-lab`; noa and rosa belong to no group.
    """

    url: str
    items: dict[str, str]
    jobs: dict[str, str]
    token: int
    invitation: str
    reset: str
    recovery: list[str]


@contextmanager
def populated(folder: Path, environments: Path) -> Iterator[Populated]:
    """The site in the folder, served until the block ends, once its jobs have."""
    site = make_site(folder, environments, bundled=True)
    for seconds in (2, 1):  # two versions
        site.analysis(
            "watch-frames",
            ENDLESS.format(seconds),
            title="Frames of a recording that goes on",
            summary="Counts frames while they are recorded, until somebody cancels it.",
            subfield="Acquisition",
        )
    try:
        with mailbox() as mail, served(site, NEUROCAAS_MAIL_URL=mail.url) as server:
            command = [sys.executable, "-m", "support.populated", str(site.root)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TESTS)
            assert done.returncode == 0, done.stderr
            made = json.loads(done.stdout.splitlines()[-1])
            yield Populated(url=server.url, **made)
            server.end()
    finally:
        site.end()


if __name__ == "__main__":
    print(json.dumps(_fill(Path(sys.argv[1]))))
