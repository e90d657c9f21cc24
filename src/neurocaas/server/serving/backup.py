"""Write a site into one file while it works: repository, keys, database, store.

The database is copied first, the store afterwards. An object is in the store before the database names it, and is
never changed from then on; so whatever the copied database names is found when the store is read later. The other way
round, a job that ends in between would be named and its results missing. Housekeeping deletes nothing meanwhile; what
a person deletes meanwhile may be missing, as it would be a moment later. What was written after the database was copied
is in the archive too and is named by nothing; it does no harm.

The repository follows the same rule within itself: what names objects (refs) is read before the objects.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from neurocaas import __version__
from neurocaas.errors import NotFound, Refused, StorageFailed, Unavailable
from neurocaas.server.serving.archive import Writer
from neurocaas.server.serving.backup_lock import backing_up
from neurocaas.settings import STATE_FOLDER, Settings
from neurocaas.storage import Store, open_store

FORMAT = 1
ABOUT = "backup.json"
SQLITE_MEMBER = "database.sqlite3"
POSTGRESQL_MEMBER = "database.pgdump"
SITE_PREFIX = "site/"
STORE_PREFIX = "store/"

# What can be made again or means something on this machine only, and what is archived apart.
LEFT_OUT = frozenset(
    {"run", "work", "environments", "versions", "logs", "migrated", "migrated-fully", "uploads", "store"}
)
_DATABASE_FILE = re.compile(r"neurocaas\.sqlite3(-wal|-shm|-journal)?")
_RESULTS = re.compile(
    r"groups/[^/]+/jobs/[^/]+/(?:stacks/[^/]+/attempts/[^/]+/(?:results|checkpoints)|outputs)/.+", re.DOTALL
)

# Of runners that work now, on other machines: a backup outlives them, and need not hold what opens a part of the store.
_CREDENTIALS = re.compile(
    r"exchange/.+|groups/[^/]+/jobs/[^/]+/stacks/[^/]+/attempts/[^/]+/(?:credentials|claimed)\.json"
)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a backup holds."""

    objects: int
    size_bytes: int


def backup(settings: Settings, path: Path, *, without_results: bool = False) -> Written:
    """Write the site to a new file at `path` (mode 0600: it holds the site's keys). Jobs go on meanwhile.

    without_results: leave out what analyses wrote; jobs, certificates, logs and staged data are in it all the same.
    Raises Refused if `path` is taken or inside the site, Unavailable if pg_dump is missing.
    """
    path = path.absolute()
    if not path.parent.is_dir():
        raise Refused(f"{path.parent}: there is no such folder; one that exists is right for a backup.")
    if path.parent.resolve().is_relative_to(settings.root):
        raise Refused(f"{path} is inside the site; a place outside of it is right for its backup.")
    with (
        backing_up(settings),
        tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as temporary,
        Writer(path) as writer,
    ):
        member = SQLITE_MEMBER if is_sqlite(settings) else POSTGRESQL_MEMBER
        about = {
            "format": FORMAT,
            "neurocaas": __version__,
            "site": settings.site.name,
            "database": member,
            "results": not without_results,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        writer.add_bytes(ABOUT, json.dumps(about, indent=1).encode())
        copy = Path(temporary) / member
        _copy_database(settings, copy)
        writer.add(member, copy)
        copy.unlink()
        for one in _repository(settings.root):
            writer.add(SITE_PREFIX + one.relative_to(settings.root).as_posix(), one)
        objects = _add_store(writer, open_store(settings.store_url), Path(temporary), without_results=without_results)
    return Written(objects=objects, size_bytes=path.stat().st_size)


def is_sqlite(settings: Settings) -> bool:
    return urlsplit(settings.database_url).scheme == "sqlite"


def sqlite_path(settings: Settings) -> Path:
    return Path(urlsplit(settings.database_url).path)


def _copy_database(settings: Settings, copy: Path) -> None:
    """The database as it is at one moment; who writes to it goes on."""
    if not is_sqlite(settings):
        run_postgresql(settings.database_url, "pg_dump", "--format=custom", "--no-owner", f"--file={copy}")
        return
    source = sqlite_path(settings)
    if not source.is_file():
        raise Refused(f"{source}: there is no such database, so the site has nothing to be backed up yet.")
    # In one step: while it is read in several, a writer would make it begin again and again.
    try:
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(copy)) as target:
            live.backup(target, pages=-1)
    except sqlite3.Error as cause:
        raise StorageFailed(f"The database can't be copied to {copy.parent}: {cause}.") from cause


def run_postgresql(url: str, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on a database; the password goes through the environment, which nobody lists.

    Raises Unavailable if it is not installed, StorageFailed with what it said if it fails.
    """
    parts = urlsplit(url)
    named = {
        "PGHOST": parts.hostname,
        "PGPORT": parts.port,
        "PGUSER": parts.username,
        "PGPASSWORD": parts.password,
        "PGDATABASE": parts.path.lstrip("/"),
    }
    variables = {name: unquote(str(value)) for name, value in named.items() if value}
    if shutil.which(program) is None:
        raise Unavailable(f"{program} is not installed.", remedy="apt-get install postgresql-client")
    done = subprocess.run(
        [program, *arguments], env=os.environ | variables, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        raise StorageFailed(f"{program} failed: {(done.stderr.strip() or 'it said nothing').splitlines()[0]}")


def _repository(root: Path) -> Iterator[Path]:
    """The source repo and what of the state folder is kept; git's objects last."""
    objects = root / ".git" / "objects"
    yield from _below(root, leave_out=lambda one: one == objects or _left_out(root, one))
    if objects.is_dir():
        yield objects
        yield from _below(objects, leave_out=lambda one: one.name.startswith("tmp_"))


def _left_out(root: Path, path: Path) -> bool:
    state = root / STATE_FOLDER
    if path.parent == state:
        return path.name in LEFT_OUT or _DATABASE_FILE.fullmatch(path.name) is not None
    return path.suffix == ".lock" and (root / ".git") in path.parents


def _below(folder: Path, *, leave_out: Callable[[Path], bool]) -> Iterator[Path]:
    try:
        found = sorted(os.scandir(folder), key=lambda one: one.name)
    except FileNotFoundError:
        return
    for entry in found:
        path = Path(entry.path)
        if not leave_out(path):
            yield path
            if entry.is_dir(follow_symlinks=False):
                yield from _below(path, leave_out=leave_out)


def _add_store(writer: Writer, store: Store, temporary: Path, *, without_results: bool) -> int:
    count = 0
    for entry in store.list(""):
        if _CREDENTIALS.fullmatch(entry.key) or (without_results and _RESULTS.fullmatch(entry.key)):
            continue
        local = store.local_path(entry.key)
        if local is None:
            local = temporary / "object"
            try:
                store.get_file(entry.key, local)
            except NotFound:
                continue  # a lease of an attempt that ended meanwhile, say
        writer.add(STORE_PREFIX + entry.key, local)
        count += 1
    return count
