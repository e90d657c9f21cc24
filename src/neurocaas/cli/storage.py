"""`storage`: the bucket that a site on S3 keeps everything in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from neurocaas.cli.context import site_settings
from neurocaas.cli.output import json_option, print_json
from neurocaas.errors import StorageFailed

if TYPE_CHECKING:
    from neurocaas.storage.bucket_settings import Compared


@click.group()
def storage() -> None:
    """The bucket of a site whose store is on S3: encryption, lifecycle, who may reach it."""


@storage.command()
@json_option
def check(as_json: bool) -> None:
    """Compare the bucket with what site.json asks of it. Ends with 8 if they differ."""
    from neurocaas.storage.bucket_settings import SiteBucket

    compared = SiteBucket(site_settings()).compare()
    _print(compared, as_json)
    sys.exit(0 if all(one.well for one in compared) else StorageFailed.exit_code)


@storage.command()
@json_option
def apply(as_json: bool) -> None:
    """Bring the bucket to what site.json asks of it; rules of others in it stay."""
    from neurocaas.storage.bucket_settings import SiteBucket

    bucket = SiteBucket(site_settings())
    bucket.apply()
    compared = bucket.compare()
    _print(compared, as_json)
    sys.exit(0 if all(one.well for one in compared) else StorageFailed.exit_code)


def _print(compared: Sequence[Compared], as_json: bool) -> None:
    if as_json:
        print_json([asdict(one) for one in compared])
        return
    for one in compared:
        click.echo(f"{'ok     ' if one.well else 'DIFFERS'}  {one.part}: {one.found}")
        if not one.well:
            click.echo(f"         site.json asks for {one.asked}")
    if not all(one.well for one in compared):
        click.echo("Change the bucket with: neurocaas storage apply")
