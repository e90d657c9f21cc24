"""`login`, `logout`, `whoami`, `upload`, `data`: being somebody on a site over the network, and one's data there."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from neurocaas.cli.context import this_client
from neurocaas.cli.output import json_option, print_json, print_table, say
from neurocaas.errors import NotFound

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
MEBIBYTE = 1 << 20


@click.command()
@click.argument("url")
@click.option("--token-stdin", is_flag=True, help="Read the API token from standard input.")
@json_option
@click.pass_context
def login(context: click.Context, url: str, token_stdin: bool, as_json: bool) -> None:
    """Sign in to the site at URL with an API token, which you make on its page of your account."""
    from neurocaas.cli.signed_in import SignedIn, read_sites, write_sites
    from neurocaas.client import Client
    from neurocaas.client.connection import site_url

    address = site_url(url)
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        say(f"Careful: {address} is not encrypted; whoever is between can read your token and data.")
    token = sys.stdin.readline() if token_stdin else click.prompt("API token", hide_input=True, err=True)
    group = context.find_root().obj.group
    with Client(address, token, group) as client:
        me = client.me()
    sites = read_sites()
    known = sites.sites | {address: SignedIn(token=token.strip(), user=me.user, group=group)}
    write_sites(sites.model_copy(update={"current": address, "sites": known}))
    if as_json:
        print_json({"site": address, **me.model_dump(mode="json")})
    else:
        click.echo(f"Signed in to {me.site or address} as {me.user}, group {me.group or 'none'}.")


@click.command()
@click.argument("url", required=False)
@json_option
def logout(url: str | None, as_json: bool) -> None:
    """Forget the token of the site at URL, or of the one that commands go to."""
    from neurocaas.cli.signed_in import read_sites, write_sites
    from neurocaas.client.connection import site_url

    sites = read_sites()
    address = site_url(url) if url else sites.current
    if address not in sites.sites:
        raise NotFound(f"You are not signed in to {address or 'any site'}.")
    left = {name: one for name, one in sites.sites.items() if name != address}
    current = sites.current if sites.current in left else None
    write_sites(sites.model_copy(update={"current": current, "sites": left}))
    if as_json:
        print_json({"site": address})
    else:
        click.echo(f"Signed out of {address}. The token itself works until it is revoked on the page of your account.")


@click.command()
@json_option
def whoami(as_json: bool) -> None:
    """Say who you are on the site, and in which groups."""
    with this_client() as client:
        me = client.me()
        if as_json:
            print_json({"url": client.url, **me.model_dump(mode="json")})
        else:
            click.echo(f"{me.user} on {client.url}, group {me.group or 'none'} of {', '.join(me.groups) or 'none'}.")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--tag", "tags", multiple=True, help="A word to find the data by.")
@json_option
def upload(paths: tuple[Path, ...], tags: tuple[str, ...], as_json: bool) -> None:
    """Stage files and folders on the site; what it has already is not sent, and what broke off goes on."""
    from neurocaas.cli.there import progress

    with this_client() as client:
        items = client.upload(paths, tags=tags, progress=progress())
    if as_json:
        print_json([one.model_dump(mode="json") for one in items])
    else:
        for one in items:
            click.echo(f"item:{one.id}  {one.name}")


@click.group()
def data() -> None:
    """Your group's data on the site: list, tag, delete. `run ANALYSIS item:ID` runs on it."""


@data.command(name="list")
@click.option("--search", default="", help="Only what has this in its name or tags.")
@click.option("--tag", default="", help="Only what has this tag.")
@json_option
def list_(search: str, tag: str, as_json: bool) -> None:
    """List the data, the newest first."""
    with this_client() as client:
        items = list(client.items(search, tag=tag))
    if as_json:
        print_json([one.model_dump(mode="json") for one in items])
        return
    rows = [
        (f"item:{one.id}", one.name, f"{one.size_bytes / MEBIBYTE:.1f} MiB", one.created_at[:10], " ".join(one.tags))
        for one in items
    ]
    print_table(("ITEM", "NAME", "SIZE", "SINCE", "TAGS"), rows)


@data.command()
@click.argument("item")
@click.argument("tags", nargs=-1)
@json_option
def tag(item: str, tags: tuple[str, ...], as_json: bool) -> None:
    """Give ITEM these TAGS in place of those that it has."""
    with this_client() as client:
        changed = client.change_item(item.removeprefix("item:"), tags=tags)
    if as_json:
        print_json(changed.model_dump(mode="json"))
    else:
        click.echo(f"{changed.name}: {' '.join(changed.tags) or 'no tags'}")


@data.command()
@click.argument("items", nargs=-1, required=True)
@json_option
def delete(items: tuple[str, ...], as_json: bool) -> None:
    """Delete ITEMS from the site. Refused while a job that has not ended needs one."""
    with this_client() as client:
        for item in items:
            client.delete_item(item.removeprefix("item:"))
    if as_json:
        print_json({"deleted": list(items)})
