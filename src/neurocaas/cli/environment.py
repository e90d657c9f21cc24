"""`env`: the immutable analysis environments on this machine."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from neurocaas.cli.context import site_settings, this_site
from neurocaas.cli.output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from neurocaas.environment import EnvironmentStore
    from neurocaas.environment.image_records import ImageRef


@click.group()
def env() -> None:
    """Environments: built once from a lock, named by digest, read-only."""


@env.command()
@click.argument("analysis")
@json_option
def build(analysis: str, as_json: bool) -> None:
    """Build the environment of ANALYSIS (name or name@version) now, rather than at its first run."""
    site = this_site()
    version = site.analyses.resolve(analysis).version
    built = site.environments.build(site.analyses.environment(version), progress=say)
    if as_json:
        print_json(built.model_dump(mode="json"))
    else:
        click.echo(built.digest)


@env.command()
@click.argument("analysis")
@click.option("--base", default="", metavar="IMAGE", help="The image it stands on, instead of the site's.")
@click.option("--load", is_flag=True, help="Give it to this machine's Podman or Docker too.")
@click.option("--push", "to", default="", metavar="HOST/NAME[:TAG]", help="Send it to a registry.")
@json_option
def image(analysis: str, base: str, load: bool, to: str, as_json: bool) -> None:
    """Make an OCI image of the environment of ANALYSIS (name or name@version), with the runner in it.

    Prints the image's digest; with --push, the reference by which it can be pulled.
    """
    from neurocaas.environment import imaging

    site = this_site()
    images = site.settings.site.images
    version = site.analyses.resolve(analysis).version
    built = site.environments.build(site.analyses.environment(version), progress=say)
    made = imaging.image_of(site.environments, built, images, base=base, progress=say)
    if load:
        say(f"{imaging.load(made, images.engine)} is {made.reference} in the engine.")
    pushed = imaging.push(made, to, progress=say) if to else ""
    if as_json:
        print_json({**made.model_dump(mode="json", exclude={"root", "pushed"}), "pushed": pushed})
    else:
        click.echo(pushed or made.digest)


@env.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """List the environments on this machine."""
    from neurocaas.environment.image_records import recorded

    store = _store()
    images = {one.digest: one.image or _digest(recorded(store.images, one.digest)) for one in store.list()}
    if as_json:
        print_json([one.model_dump(mode="json") | {"image": images[one.digest]} for one in store.list()])
        return
    rows = [
        (
            one.digest[:12],
            one.kind,
            one.python or "-",
            f"{one.size_bytes / 1e6:.0f} MB",
            one.built_at,
            images[one.digest][-64:][:12] or "-",
        )
        for one in store.list()
    ]
    print_table(("DIGEST", "KIND", "PYTHON", "SIZE", "BUILT", "IMAGE"), rows)


def _digest(image: ImageRef | None) -> str:
    return image.digest if image else ""


@env.command()
@click.argument("digest", required=False)
@json_option
def verify(digest: str | None, as_json: bool) -> None:
    """Read every byte again and compare: all environments, or the one with DIGEST. Ends with 6 if one is damaged.

    A damaged environment is set aside, and built again when it is next needed.
    """
    store = _store()
    chosen = [one.digest for one in store.list() if one.digest.startswith(digest or "")]
    if not chosen and digest:
        say(f"error: there is no environment {digest}.")
        sys.exit(3)
    damaged = {one: damages for one in chosen if (damages := store.verify(one))}
    for damages in damaged.values():
        store.set_aside(damages)
    if as_json:
        print_json({one: [str(damage) for damage in damaged.get(one, [])] for one in chosen})
    else:
        for one in chosen:
            click.echo(f"{one[:12]} is {'damaged' if one in damaged else 'whole'}.")
            for damage in damaged.get(one, []):
                click.echo(f"  {damage}")
    sys.exit(6 if damaged else 0)


@env.command()
@click.option("--older-than", "days", default=30.0, show_default=True, help="Days since it was last used.")
@json_option
def gc(days: float, as_json: bool) -> None:
    """Remove environments that nobody has used for a while; none that a running or waiting job needs."""
    site = this_site()
    from neurocaas.server.jobs.following import UNFINISHED
    from neurocaas.server.jobs.models import Step

    keep = set(Step.objects.filter(job__status__in=UNFINISHED).values_list("environment_digest", flat=True))
    removed = site.environments.gc(keep, timedelta(days=days))
    if as_json:
        print_json([one.model_dump() for one in removed])
    else:
        for one in removed:
            click.echo(f"removed {one.what} {one.name[:12]} ({one.size_bytes / 1e6:.0f} MB)")


def _store() -> EnvironmentStore:
    from neurocaas.environment import EnvironmentStore

    settings = site_settings()
    return EnvironmentStore(settings.environments, engine=settings.site.images.engine)
