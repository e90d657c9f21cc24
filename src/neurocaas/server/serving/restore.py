"""Bring a site back from its backup, in a new place, with every byte held against its digest first."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocaas.errors import Altered, Refused, Unavailable
from neurocaas.server.serving import archive
from neurocaas.server.serving.backup import (
    ABOUT,
    FORMAT,
    POSTGRESQL_MEMBER,
    SITE_PREFIX,
    SQLITE_MEMBER,
    STORE_PREFIX,
    is_sqlite,
    run_postgresql,
    sqlite_path,
)
from neurocaas.settings import STATE_FOLDER, Settings, read_settings
from neurocaas.storage import keys, open_store
from neurocaas.storage.files import FileStore


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What came back. interrupted: attempts that ran when the backup was made, and will be made again."""

    root: Path
    made_at: str
    jobs: int
    interrupted: int
    results: bool


def restore(path: Path, root: Path) -> Restored:
    """Make the site of the backup at `path` in the new or empty folder `root`, and bring its tables up to date.

    A database or store that NEUROCAAS_DATABASE_URL or NEUROCAAS_STORE_URL or the site's own site.json names elsewhere
    must be empty. Raises Altered if the backup is damaged; nothing is left behind then, or by any other refusal.
    """
    root = root.resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise Refused(f"{root} is not an empty folder; a new or empty folder is right for a site.")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as temporary:
        made = Path(temporary) / "site"
        about = _unpack(path, made, Path(temporary))
        settings = read_settings(made)
        copy = Path(temporary) / about["database"]
        _check_places(settings, about, made)
        _move_store(settings, made)
        _place_database(settings, copy)
        made.rename(root)
    jobs, interrupted = _settle(root, results=about["results"])
    return Restored(
        root=root, made_at=str(about["at"]), jobs=jobs, interrupted=interrupted, results=bool(about["results"])
    )


def _unpack(path: Path, made: Path, temporary: Path) -> dict[str, Any]:
    """Everything into its place below `made`, the database's copy into `temporary`. Returns what the backup says."""
    state = made / STATE_FOLDER
    made.mkdir()
    state.mkdir(mode=0o700)
    store = FileStore(state / "store")
    about: dict[str, Any] = {}
    for member in archive.read(path):
        if member.name == ABOUT:
            about = _about(path, member.read())
        elif not about:
            raise Refused(f"{path} is not a backup; a file that `neurocaas backup` wrote is right.")
        elif member.name in {SQLITE_MEMBER, POSTGRESQL_MEMBER}:
            member.save(temporary / member.name, 0o600)
        elif member.name.startswith(STORE_PREFIX) and member.is_file:
            part = temporary / "part"
            member.save(part, 0o600)
            store.put_file(part, keys.checked(member.name.removeprefix(STORE_PREFIX)), move=True)
        elif member.name.startswith(SITE_PREFIX):
            _place(member, made, path)
        else:
            raise Altered(f"{path}: its member {member.name} is none that a backup has.")
    if not (temporary / str(about.get("database"))).is_file():
        raise Altered(f"{path} holds no database.")
    return about


def _about(path: Path, data: bytes) -> dict[str, Any]:
    about: Any = None
    with contextlib.suppress(ValueError):
        about = json.loads(data)
    if not isinstance(about, dict) or not {"format", "database", "at", "results"} <= about.keys():
        raise Altered(f"{path} is damaged: its member {ABOUT} is not as it was written.")
    # The database's name becomes a path.
    if about["format"] != FORMAT or about["database"] not in {SQLITE_MEMBER, POSTGRESQL_MEMBER}:
        raise Refused(
            f"{path} is of format {about['format']}; {FORMAT} is what this release reads.",
            remedy="Restore it with the release that wrote it, or a newer one.",
        )
    return about


def _place(member: archive.Member, made: Path, path: Path) -> None:
    """A part of the source repo or of the state folder; never outside of it, through whatever links."""
    relative = Path(member.name.removeprefix(SITE_PREFIX))
    target = made / relative
    if relative.is_absolute() or ".." in relative.parts or not target.parent.resolve().is_relative_to(made.resolve()):
        raise Altered(f"{path}: its member {member.name} would lie outside of the site.")
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.link is not None:
        target.symlink_to(member.link)
    elif member.is_folder:
        target.mkdir(exist_ok=True)
        target.chmod(member.mode | 0o700)
    elif member.is_file:
        member.save(target, member.mode)
    else:
        raise Altered(f"{path}: its member {member.name} is neither file, folder nor link.")


def _check_places(settings: Settings, about: dict[str, Any], made: Path) -> None:
    """Refuse before anything outside of the new folder is touched."""
    if is_sqlite(settings) != (about["database"] == SQLITE_MEMBER):
        right = "sqlite" if about["database"] == SQLITE_MEMBER else "the URL of an empty PostgreSQL database"
        raise Refused(
            f"The backup's database is of another kind than the site's; set NEUROCAAS_DATABASE_URL to {right}."
        )
    if is_sqlite(settings):
        if sqlite_path(settings).exists():
            raise Refused(f"The database {sqlite_path(settings)} exists already; NEUROCAAS_DATABASE_URL names another.")
    elif not _is_empty(settings.database_url):
        raise Refused("The PostgreSQL database is not empty; a new one is right (createdb).")
    elsewhere = settings.store_url != (made / STATE_FOLDER / "store").as_uri()
    if elsewhere and next(open_store(settings.store_url).list(""), None) is not None:
        raise Refused(f"The store {settings.store_url} is not empty; NEUROCAAS_STORE_URL names another.")


def _is_empty(database_url: str) -> bool:
    try:
        import psycopg
    except ImportError as cause:
        raise Unavailable("psycopg is not installed.", remedy="pip install 'neurocaas[postgres]'") from cause
    try:
        with psycopg.connect(database_url) as connection:
            row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()").fetchone()
    except psycopg.OperationalError as cause:
        raise Unavailable("The PostgreSQL database does not answer.", remedy=str(cause).splitlines()[0]) from cause
    return row is not None and row[0] == 0


def _move_store(settings: Settings, made: Path) -> None:
    """Into the store that the settings name, if it is not the site's own."""
    own = FileStore(made / STATE_FOLDER / "store")
    if settings.store_url == own.url:
        return
    store = open_store(settings.store_url)
    for entry in list(own.list("")):
        store.put_file(own.local_path(entry.key) or own.root, entry.key, move=True)
    shutil.rmtree(own.root, ignore_errors=True)


def _place_database(settings: Settings, copy: Path) -> None:
    if is_sqlite(settings):
        sqlite_path(settings).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(copy, sqlite_path(settings))
        return
    arguments = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", str(copy))
    name = settings.database_url.rpartition("/")[2].partition("?")[0]
    run_postgresql(settings.database_url, "pg_restore", f"--dbname={name}", *arguments)


def _settle(root: Path, *, results: bool) -> tuple[int, int]:
    """Bring the tables up to date, and make the rows true of this place. Returns jobs, and attempts that ran."""
    from neurocaas.server.site import open_site

    open_site(root)
    from neurocaas.server.jobs.models import Attempt, Job, Stack
    from neurocaas.server.jobs.status import LIVE, Status

    # Their instances belong to the site that was backed up, which may run still: a handle kept here would let this
    # site's manager watch, or kill, processes of that one. As launches that never came to anything they are looked for
    # here, not found, and made again.
    interrupted = Attempt.objects.filter(status__in=LIVE).update(status=Status.LAUNCHING, handle="")
    if not results:
        # Nothing may be taken over from results that are not there.
        Stack.objects.exclude(reuse_key="").update(reuse_key="")
    return Job.objects.count(), interrupted
