"""`init` and `site`: make a site, check that its source repo is right."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from neurocaas.cli.context import site_settings
from neurocaas.cli.output import json_option, print_json, say


@click.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.option("--name", help="The site's name; its folder's name if left out.")
@json_option
def init(site: Path, name: str | None, as_json: bool) -> None:
    """Make a site in the folder SITE: a git repository with the bundled analyses, a store, a signing key."""
    from neurocaas.server.site import create_site

    made = create_site(site, name or site.resolve().name)
    if as_json:
        print_json({"site": str(made.settings.root), "analyses": made.repo.names()})
    else:
        click.echo(f"Site {made.settings.root} with the analyses {', '.join(made.repo.names())}.")
        click.echo(f"Try one: neurocaas --site {site} sample pca data && neurocaas --site {site} run pca data")


@click.group()
def site() -> None:
    """The site's source repo."""


@site.command()
@json_option
def check(as_json: bool) -> None:
    """Validate the source repo: analyses, profiles, prices; for pull requests. Ends with 2 if anything is wrong."""
    from neurocaas.blueprint import read_version
    from neurocaas.errors import NeurocaasError
    from neurocaas.server.site import open_site

    site = open_site(site_settings().root)
    repo = site.repo
    faults: dict[str, list[str]] = {}
    for name in repo.names():
        try:
            version = read_version(repo.folder(name), name)
            site.analyses.family(version)
            if not as_json:
                click.echo(f"{version.short} is right.")
        except NeurocaasError as fault:
            faults[name] = str(fault).splitlines()
    faults |= _documents(repo.root)
    if as_json:
        print_json({"analyses": repo.names(), "faults": faults})
    for name in faults:
        for fault_line in faults[name]:
            say(f"error: {fault_line}")
    sys.exit(2 if faults else 0)


def _documents(root: Path) -> dict[str, list[str]]:
    """What is wrong with the profiles of groups and the price list, by document."""
    from neurocaas.bank import site_catalogue
    from neurocaas.blueprint.profile import read_profile
    from neurocaas.errors import NeurocaasError

    faults: dict[str, list[str]] = {}
    checks = {
        f"groups/{path.stem}": partial(read_profile, root, path.stem) for path in (root / "groups").glob("*.json")
    }
    for name, check_document in (checks | {"prices/aws": partial(site_catalogue, root)}).items():
        try:
            check_document()
        except NeurocaasError as fault:
            faults[name] = str(fault).splitlines()
    return faults
