"""A site with somebody in each role and something of each kind, put back as it was after whatever changed it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.website import Website, make_website

if TYPE_CHECKING:
    from django.test import Client

# Who stands for whom. The jobs, the data, the upload are ben's, who is a member of group `lab`.
PEOPLE = {
    "anonymous": "",
    "stranger": "carol",  # owns another group
    "member": "bob",
    "owner": "ada",
    "developer": "dora",  # of the analysis, in a group of her own
    "operator": "olga",  # belongs to no group
    "sees jobs": "jo",  # of groups that `lab` lets see its jobs, its results, its staged data
    "sees results": "rex",
    "sees data": "dan",
}
BLUEPRINT = {
    "name": "mean",
    "title": "Mean",
    "summary": "The mean.",
    "environment": {"kind": "python", "python": "3.11", "lock": "requirements.lock"},
    "workflow": {"command": ["python", "/workflow/workflow.py"], "files": ["workflow.py"]},
    "inputs": {"matrix": {"title": "Matrix", "kinds": [".npy"], "max_gib": "0.001"}},
    "parameters": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "components": {"type": "integer", "default": 3, "minimum": 1, "description": "How many."},
            "label": {"type": "string", "default": "", "maxLength": 200, "description": "What to call it."},
        },
    },
    "sample": {"files": ["sample.npy"]},
    "limits": {"timeout_minutes": 60, "attempts": 3, "max_cost_dollars": "100"},
    "pages": {"setup": {"file": "page.html", "preview": "look"}, "results": {"file": "page.html"}},
}
LOOK = {"name": "look", "title": "Look", "summary": "What the page of mean shows first.", "parameters": {}, "pages": {}}


@dataclass
class Roles:
    """jobs: `open`, `private`, `handed` (failed, and handed over) and `waiting`. things: what addresses take."""

    website: Website
    jobs: dict[str, str]
    folders: dict[str, str]
    things: dict[str, Any]
    browsers: dict[str, Client]
    programs: dict[tuple[str, str], Client]
    kept: Path
    database: Path
    kept_files: set[tuple[str, int, int]] = field(default_factory=set)

    @property
    def root(self) -> Path:
        return self.website.site.settings.root

    def begin(self, connect: Callable[[str], None]) -> None:
        """Serve this site from this process, whatever another test served. connect: Django, to a database."""
        from neurocaas.server.serving.wiring import serve_site

        connect(f"sqlite:///{self.database}")
        serve_site(self.website.site)
        self.put_back()

    @contextmanager
    def watched(self) -> Iterator[Callable[[], bool]]:
        """Says, as long as it is open, whether anything in the database changed."""
        with closing(sqlite3.connect(self.database)) as connection:

            def version() -> int:
                found: int = connection.execute("PRAGMA data_version").fetchone()[0]
                return found

            before = version()
            yield lambda: version() != before

    def keep(self) -> None:
        """Take a copy of all there is."""
        from django.db import connections

        connections["default"].close()
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.kept.mkdir()
        shutil.copyfile(self.database, self.kept / "database")
        shutil.copytree(self.root, self.kept / "site", symlinks=True)
        self.kept_files = set(_listed(self.kept / "site"))

    def put_back(self) -> None:
        """All of it as it was when it was kept."""
        from django.core.cache import cache
        from django.db import connections

        connections["default"].close()
        for end in ("-wal", "-shm"):
            self.database.with_name(self.database.name + end).unlink(missing_ok=True)
        shutil.copyfile(self.kept / "database", self.database)
        here = set(_listed(self.root))
        for path, *_ in sorted(here - self.kept_files, reverse=True):  # what is in a folder before the folder
            gone = self.root / path
            gone.rmdir() if gone.is_dir() and not gone.is_symlink() else gone.unlink()
        for path, *_ in sorted(self.kept_files - here):
            kept = self.kept / "site" / path
            if kept.is_dir() and not kept.is_symlink():
                (self.root / path).mkdir()
            else:
                shutil.copy2(kept, self.root / path, follow_symlinks=False)
        cache.clear()


def make_roles(folder: Path, template: Path, connect: Callable[[str], None]) -> Roles:
    """The site, on a copy of a database whose tables are there."""
    from allauth.account.models import EmailAddress

    from neurocaas.blueprint.profile import Profile, UserProfile
    from neurocaas.server.accounts.models import Token, User
    from neurocaas.server.api.files import link
    from neurocaas.server.groups.deploy import deploy_profile
    from neurocaas.server.groups.models import AnalysisAccess, Handover
    from neurocaas.server.groups.publishing import change_profile
    from neurocaas.server.groups.scope import caller
    from neurocaas.server.jobs.deliverables import deliverables
    from neurocaas.server.jobs.models import Job
    from neurocaas.server.serving.wiring import desk
    from neurocaas.server.uploads.beginning import begin

    database = folder / "test.sqlite3"
    shutil.copyfile(template, database)
    connect(f"sqlite:///{database}")
    website = make_website(folder, f"sqlite:///{database}", _analysis(folder))
    for name in ("ben", "dora", "jo", "rex", "dan"):
        User.objects.create_user(name, f"{name}@example.org", "a password of some length")
    for person in User.objects.all():
        EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    for name, user in (("makers", "dora"), ("see-jobs", "jo"), ("see-results", "rex"), ("see-data", "dan")):
        deploy_profile(Profile(name=name, users={user: UserProfile(role="owner")}))
    collaborators: Any = {"see-jobs": ("jobs",), "see-results": ("results",), "see-data": ("data",)}
    change_profile(
        website.site,
        "lab",
        lambda old: old.model_copy(
            update={"users": old.users | {"ben": UserProfile()}, "collaborators": collaborators}
        ),
        "Let others see",
    )
    AnalysisAccess.objects.create(analysis="mean", document={"developers": ["dora"]})
    files = {"mean.csv": b"1,2\n", "page.html": b"<script>alert(1)</script>", "map.npy": _map()}
    made = {name: website.job(user="ben", name=name) for name in ("open", "handed", "waiting")}
    made["private"] = website.job(user="ben", name="private", private=True)
    website.finish(made["open"], files)
    website.finish(made["private"], files)
    website.finish(made["handed"])
    Handover.objects.create(job=made["handed"], by="ben", until="2100-01-01T00:00:00Z")
    offer = {"name": "new.npy", "form": "file", "files": [{"path": "new.npy", "size_bytes": 4}]}
    upload = begin(desk(), "lab", "ben", offer)
    first = next(one for one in deliverables(website.site.store, Job.objects.get(pk=made["open"].pk)) if one.key)
    address = link(caller("ada", "lab"), made["open"], first)
    things = {
        "name": "mean",
        "spec": "mean",
        "file": "sample.npy",
        "index": 0,
        "user": "ben",
        "item_id": str(website.item("lab", "ben", "item.npy", b"\x93NUMPY\x01\x00item").pk),
        "upload_id": str(upload.pk),
        "upload": f"{upload.pk.hex}/0",
        "import_id": _import(),
        "code": _invitation(),
        "signature": address.rpartition("/")[2],
    }
    roles = Roles(
        website=website,
        jobs={name: job.pk for name, job in made.items()},
        folders={name: job.stacks.get().folder for name, job in made.items()},
        things=things,
        browsers={role: website.client(user) for role, user in PEOPLE.items()},
        programs={
            (role, scope): website.program(user, scope)
            for role, user in PEOPLE.items()
            if user
            for scope in ("read", "write", "manage")
        },
        kept=folder / "kept",
        database=database,
    )
    roles.things["token_id"] = _token_of("ada")
    _make_sample(website)
    Token.objects.update(used_at="2100-01-01T00:00:00Z")  # so that its use is not written down again
    roles.keep()
    return roles


def _analysis(folder: Path) -> Path:
    """`mean`, with pages of its own, beside the analysis whose results its set-up page shows."""
    from neurocaas.blueprint import read_version
    from neurocaas.blueprint.pinning import pin

    analyses = folder / "bundled"
    for blueprint in (BLUEPRINT | LOOK, BLUEPRINT):
        analysis = analyses / str(blueprint["name"])
        analysis.mkdir(parents=True)
        (analysis / "requirements.lock").write_text("")
        (analysis / "workflow.py").write_text("print(1)\n")
        (analysis / "sample.npy").write_bytes(b"\x93NUMPY\x01\x00sample")
        (analysis / "page.html").write_text("<!doctype html><title>Mean</title>")
        (analysis / "blueprint.json").write_text(json.dumps(blueprint))
    pin(analyses / "mean", lambda name: read_version(analyses / name).digest)
    return analyses / "mean"


def _map() -> bytes:
    import io

    import numpy

    file = io.BytesIO()
    numpy.save(file, numpy.eye(4))
    return file.getvalue()


def _import() -> str:
    """One that waits; begun as a row, because beginning it otherwise asks the other server."""
    from django.utils import timezone

    from neurocaas.server.imports.models import Import

    url = "https://example.org/b.npy"
    made = Import.objects.create(
        group_id="lab", user="ben", url=url, shown=url, name="b.npy", created_at=timezone.now()
    )
    return str(made.pk)


def _invitation() -> str:
    from neurocaas.server.accounts.enrolment import invite
    from neurocaas.server.groups.scope import caller

    return invite(caller("ada", "lab")).code


def _token_of(user: str) -> int:
    from neurocaas.server.accounts.models import Token

    return Token.objects.filter(user__username=user).order_by("-pk").values_list("pk", flat=True)[0]


def _make_sample(website: Website) -> None:
    """Now, and not in the background of a request."""
    from neurocaas.server.catalogue.samples import samples

    resolved = website.site.analyses.resolve("mean")
    if samples.get(website.site, resolved) is None:
        for one in list(samples._making.values()):
            one.made.result()
        assert samples.get(website.site, resolved)


def _listed(folder: Path, below: str = "") -> Iterator[tuple[str, int, int]]:
    """All that is in a folder: its path, and of a file its size and when it was changed."""
    with os.scandir(folder / below) as entries:
        for entry in entries:
            path = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield path, 0, 0
                yield from _listed(folder, f"{path}/")
            else:
                at = entry.stat(follow_symlinks=False)
                yield path, at.st_size, at.st_mtime_ns
