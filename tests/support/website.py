"""A site as its web process has it, in this process: users, groups, an analysis, and clients of the API."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.test import Client

    from neurocaas.server.jobs.models import Job
    from neurocaas.server.site import Site
    from neurocaas.server.uploads.models import Item


@dataclass
class Website:
    """ada owns `lab`, where bob is a member; carol owns `other`; olga is the operator and belongs to no group."""

    site: Site
    folder: Path
    wakes: list[str] = field(default_factory=list)

    def user(self, name: str) -> Any:
        from neurocaas.server.accounts.models import User

        return User.objects.get(username=name)

    def client(self, user: str = "", **more: Any) -> Client:
        """A browser that is signed in as the user, or as nobody."""
        from django.test import Client

        client = Client(SERVER_NAME="localhost", **more)
        if user:
            client.force_login(self.user(user), backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    def token(self, user: str, scope: str = "manage") -> str:
        from neurocaas.server.accounts.tokens import issue

        return issue(self.user(user), name="test", scope=scope, days=None)[1]

    def program(self, user: str, scope: str = "manage", **headers: str) -> Client:
        """A program with an API token of the user's."""
        from django.test import Client

        bearer = {"Authorization": f"Bearer {self.token(user, scope)}"}
        return Client(SERVER_NAME="localhost", headers=bearer | headers)

    def item(self, group: str, user: str, name: str = "movie.npy", content: bytes = b"\x93NUMPY\x01\x00") -> Item:
        """Staged data of a group."""
        from neurocaas.server.serving.wiring import desk
        from neurocaas.server.uploads.completing import store_file

        path = self.folder / f"incoming-{name}"
        path.write_bytes(content)
        return store_file(desk(), group, user, name, path)

    def job(self, group: str = "lab", user: str = "ada", **request: Any) -> Job:
        """A job that waits, on data of its own."""
        from neurocaas.server.jobs.submit import Request, submit
        from neurocaas.server.uploads.staging import stage_items

        item = self.item(group, user, f"{user}-{request.pop('name', 'movie')}.npy")

        def stage(blueprint: Any, data: Any, more: Any) -> Any:
            return stage_items([group], blueprint, data, more)

        asked = {"analysis": "mean", "data": [str(item.id)], "group": group, "user": user, **request}
        return submit(self.site, Request(**asked), stage)

    def finish(self, job: Job, files: dict[str, bytes] | None = None, *, log: str = "it ran\n") -> Job:
        """As if every stack of the job had run, and had written these files; none for a failure."""
        import hashlib

        from django.utils import timezone

        from neurocaas.server.jobs.models import Attempt, Stack
        from neurocaas.server.jobs.status import Status
        from neurocaas.storage import keys

        status, now = (Status.SUCCEEDED if files else Status.FAILED), timezone.now()
        for stack in Stack.objects.filter(job=job):
            prefix = keys.attempt(job.group_id, job.id, stack.index, 1)
            outputs = []
            for path, content in (files or {}).items():
                self.site.store.put(keys.result(prefix, path), content)
                digest = hashlib.sha256(content).hexdigest()
                outputs.append({"path": path, "size_bytes": len(content), "sha256": digest})
            for number, line in enumerate(log.splitlines(keepends=True), start=1):
                segment = {"sequence": number, "text": line, "progress": 1.0, "message": ""}
                self.site.store.put(keys.log_segment(prefix, number), json.dumps(segment).encode())
            Attempt.objects.create(
                stack=stack,
                number=1,
                token="t",
                status=status,
                provider="local",
                instance_type="this",
                launched_at=now,
                started_at=now,
                ended_at=now,
                exit_record={"outputs": outputs},
            )
            Stack.objects.filter(pk=stack.pk).update(status=status, attempts_made=1, ended_at=now, progress=1.0)
        self.site.store.put(keys.certificate(job.group_id, job.id), b'{"format": "test"}')
        self.site.store.put(keys.certificate_text(job.group_id, job.id), b"A certificate.\n")
        type(job).objects.filter(pk=job.pk).update(status=status, ended_at=now)
        job.refresh_from_db()
        return job


def make_website(folder: Path, database_url: str, analysis: Path) -> Website:
    """A site in the folder, on a database whose tables are there, served by this process."""
    from neurocaas.blueprint import SourceRepo
    from neurocaas.blueprint.profile import Profile, UserProfile, write_profile
    from neurocaas.certificate import SigningKey, TrustedKeys
    from neurocaas.server.accounts.models import User
    from neurocaas.server.groups.deploy import deploy_operators, deploy_profile
    from neurocaas.server.serving.wiring import serve_site
    from neurocaas.server.site import Site
    from neurocaas.settings import read_settings

    root = folder / "site"
    profiles = [
        Profile(name="lab", users={"ada": UserProfile(role="owner"), "bob": UserProfile()}),
        Profile(name="other", users={"carol": UserProfile(role="owner")}),
    ]
    root.mkdir(parents=True)
    for profile in profiles:  # before the first commit, which so is the only one
        write_profile(root, profile)
    SourceRepo(root).create(analysis.parent, {"name": "Test site"})
    settings = read_settings(root).model_copy(update={"database_url": database_url})
    settings.key.parent.mkdir(parents=True)
    key = SigningKey.create(settings.key)
    TrustedKeys(settings.trusted_keys).add(key.public_path, "Test site")
    site = Site(settings)
    serve_site(site)
    for name in ("ada", "bob", "carol", "olga"):
        User.objects.create_user(name, f"{name}@example.org", "a password of some length")
    for profile in profiles:
        deploy_profile(profile)
    deploy_operators(frozenset({"olga"}))
    return Website(site=site, folder=folder)
