"""`doctor`: what is missing on this machine, and how to get it."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from neurocaas.cli.context import site_settings
from neurocaas.cli.output import json_option, print_json
from neurocaas.errors import NeurocaasError, NotFound
from neurocaas.settings import Settings

MISSING = 7
LOW_DISK_GIB = 5
GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One part: whether it is well, what was found, and what to do if it is not."""

    part: str
    well: bool
    found: str
    remedy: str = ""


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check this machine and site. Ends with 7 if something is missing."""
    findings = list(_findings())
    if as_json:
        print_json([asdict(one) for one in findings])
    for one in [] if as_json else findings:
        click.echo(f"{'ok     ' if one.well else 'MISSING'}  {one.part}: {one.found}")
        if one.remedy:
            click.echo(f"         {one.remedy}")
    sys.exit(0 if all(one.well for one in findings) else MISSING)


def _findings() -> Iterator[Finding]:
    yield Finding(part="python", well=sys.version_info >= (3, 11), found=sys.version.split()[0], remedy="")
    for program, remedy in (("git", "apt-get install git"),):
        path = shutil.which(program)
        yield Finding(part=program, well=path is not None, found=path or "not found", remedy="" if path else remedy)
    yield from _sandbox()
    yield _uv()
    try:
        settings = site_settings()
    except NeurocaasError as fault:
        yield Finding(part="site", well=False, found=fault.message, remedy=fault.remedy)
        return
    yield Finding(part="site", well=True, found=f"{settings.site.name} in {settings.root}")
    yield _engine(settings.site.images.engine)
    yield from _state(settings)


def _sandbox() -> Iterator[Finding]:
    from neurocaas.sandbox import probe

    tried = probe()
    found = f"bubblewrap {tried.bubblewrap}. {tried.identity}" if tried.works else tried.problem
    yield Finding(part="sandbox", well=tried.works, found=found, remedy=tried.remedy)
    yield Finding(part="limits", well=True, found=tried.limits)


def _engine(wanted: str) -> Finding:
    """Missing only where the site names one: most analyses need none."""
    from neurocaas.environment.probing import probe_engine

    try:
        return Finding(part="containers", well=True, found=probe_engine(wanted))
    except NeurocaasError as cause:
        return Finding(part="containers", well=not wanted, found=cause.message, remedy=cause.remedy if wanted else "")


def _uv() -> Finding:
    import uv

    try:
        return Finding(part="uv", well=True, found=uv.find_uv_bin())
    except FileNotFoundError:
        return Finding(part="uv", well=False, found="not found", remedy="Install the project again: make setup")


def _state(settings: Settings) -> Iterator[Finding]:
    free_gib = shutil.disk_usage(settings.state).free / GIB
    low = free_gib < LOW_DISK_GIB
    remedy = "Free some space; neurocaas env gc removes environments that nobody uses." if low else ""
    yield Finding(part="disk", well=not low, found=f"{free_gib:.0f} GiB free for the site", remedy=remedy)
    private = settings.key.is_file() and settings.key.stat().st_mode & 0o077 == 0
    yield Finding(
        part="signing key",
        well=private,
        found=str(settings.key) if private else f"{settings.key} is missing, or others may read it",
        remedy="" if private else f"chmod 600 {settings.key}",
    )
    yield _store(settings)
    from neurocaas.server.database import connect
    from neurocaas.server.jobs import daemon

    connect(settings)
    yield Finding(part="database", well=True, found=settings.database_url.rpartition("@")[2])
    pid = daemon.leader(settings)
    yield Finding(part="manager", well=True, found=f"process {pid}" if pid else "not running; it starts when needed")


def _store(settings: Settings) -> Finding:
    from neurocaas.storage import open_store

    try:
        with contextlib.suppress(NotFound):
            open_store(settings.store_url).get("healthz")  # unlike HEAD, its answer tells whether there is a bucket
    except NeurocaasError as fault:
        return Finding(part="store", well=False, found=fault.message, remedy=fault.remedy)
    if settings.store_url.startswith("s3://") and importlib.util.find_spec("boto3") is None:
        remedy = "pip install 'neurocaas[aws]'"
        return Finding(
            part="store", well=False, found="boto3, which uploads and runners need, is missing", remedy=remedy
        )
    return Finding(part="store", well=True, found=settings.store_url)
