"""Which site a command works on, and as whom."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurocaas.cli.output import say
from neurocaas.settings import SITE_FILE, Settings, find_site, read_settings

if TYPE_CHECKING:
    from neurocaas.server.site import Site


def site_settings() -> Settings:
    """The settings of the site meant; the user's own site is made when it is first needed."""
    given: Path | None = click.get_current_context().find_root().obj
    root = find_site(given)
    named = given is not None or "NEUROCAAS_SITE" in os.environ
    if not named and not (root / SITE_FILE).is_file():
        from neurocaas.server.site import create_site

        say(f"Making your own site in {root}.")
        create_site(root, f"{user()}'s site")
    return read_settings(root)


def trusted_keys_folder() -> Path:
    """The site's trusted keys; a person without a site, who only verifies, keeps them among their own settings."""
    root = find_site(click.get_current_context().find_root().obj)
    if (root / SITE_FILE).is_file():
        return read_settings(root).trusted_keys
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(configuration) / "neurocaas" / "trusted"


def this_site() -> Site:
    """The site meant, with its database."""
    from neurocaas.server.site import open_site

    return open_site(site_settings().root)


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in some containers
        return f"uid-{os.geteuid()}"
