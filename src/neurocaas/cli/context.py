"""Which site a command works on, and as whom."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurocaas.cli.output import say
from neurocaas.errors import Refused
from neurocaas.settings import SITE_FILE, Settings, nearest_site, own_site, read_settings

if TYPE_CHECKING:
    from neurocaas.cli.door import Door
    from neurocaas.client import Client
    from neurocaas.server.site import Site


@dataclass(frozen=True, kw_only=True)
class Named:
    """What the options before the command name."""

    site: str | None
    group: str | None


def is_address(site: str) -> bool:
    return site.startswith(("http://", "https://"))


def this_door() -> Door:
    """The site meant, on this machine or over the network."""
    if (address := _address()) is not None:
        from neurocaas.cli.there import There

        return There(_client(address))
    if group := _named().group:
        raise Refused(f"--group {group}: a site of this machine has one group; leave --group out.")
    from neurocaas.cli.here import Here

    return Here(site_settings())


def this_client() -> Client:
    """The site over the network that is meant. Raises Refused if it is one of this machine."""
    address = _address()
    if address is None:
        raise Refused(
            f"{_command()} is for a site over the network; on this machine, data stays where it is.",
            remedy="Sign in to one: neurocaas login URL",
        )
    return _client(address)


def site_settings() -> Settings:
    """The settings of this machine's site that is meant; the user's own site is made when it is first needed.

    Raises Refused if the site meant is elsewhere.
    """
    if (address := _address()) is not None:
        raise Refused(
            f"{_command()} works on a site of this machine only, and the site meant is {address}.",
            remedy="neurocaas --site FOLDER names one of this machine.",
        )
    root = _root()
    if root == own_site() and not (root / SITE_FILE).is_file() and not _given():
        from neurocaas.server.site import create_site

        say(f"Making your own site in {root}.")
        create_site(root, f"{user()}'s site")
    return read_settings(root)


def trusted_keys_folder() -> Path:
    """The site's trusted keys; a person without a site, who only verifies, keeps them among their own settings."""
    if _address() is None and (_root() / SITE_FILE).is_file():
        return read_settings(_root()).trusted_keys
    from neurocaas.cli.signed_in import settings_folder

    return settings_folder() / "trusted"


def this_site() -> Site:
    """The site of this machine that is meant, with its database."""
    from neurocaas.server.site import open_site

    return open_site(site_settings().root)


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in some containers
        return f"uid-{os.geteuid()}"


def _named() -> Named:
    named: Named = click.get_current_context().find_root().obj
    return named


def _given() -> str | None:
    return _named().site or os.environ.get("NEUROCAAS_SITE") or None


def _root() -> Path:
    given = _given()
    return Path(given) if given else nearest_site() or own_site()


def _address() -> str | None:
    """The address of the site meant; None if it is a folder of this machine."""
    if given := _given():
        return given if is_address(given) else None
    from neurocaas.cli.signed_in import read_sites, settings_folder

    if nearest_site() is not None or not (settings_folder() / "sites.json").is_file():
        return None
    return read_sites().current


def _client(address: str) -> Client:
    from neurocaas.cli.signed_in import read_sites
    from neurocaas.client import Client
    from neurocaas.client.connection import site_url

    url = site_url(address)
    known = read_sites().sites.get(url)
    token = os.environ.get("NEUROCAAS_TOKEN") or (known.token if known else "")
    if not token:
        raise Refused(f"You are not signed in to {url}.", remedy=f"Sign in: neurocaas login {url}")
    return Client(url, token, _named().group or (known.group if known else None))


def _command() -> str:
    return click.get_current_context().command_path.partition(" ")[2]
