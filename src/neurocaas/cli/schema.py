"""`schema` and `completion`: what editors and shells need."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from neurocaas.cli.output import json_option, print_json
from neurocaas.errors import Refused


@click.command()
@click.argument("document", type=click.Choice(["blueprint", "site"]))
@json_option
def schema(document: str, as_json: bool) -> None:  # noqa: ARG001 (a schema is JSON anyway)
    """Print the JSON Schema of a document (blueprint, site)."""
    from neurocaas.blueprint import Blueprint
    from neurocaas.documents import Document
    from neurocaas.settings import SiteDocument

    models: dict[str, type[Document]] = {"blueprint": Blueprint, "site": SiteDocument}
    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema"} | models[document].model_json_schema())


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), required=False)
def completion(shell: str | None) -> None:
    """Print the completion script for SHELL; for bash: eval "$(neurocaas completion bash)"."""
    from click.shell_completion import get_completion_class

    from neurocaas.cli.main import cli

    shell = shell or Path(os.environ.get("SHELL", "bash")).name
    kind = get_completion_class(shell)
    if kind is None:
        raise Refused(f"shell: found {shell!r}; bash, zsh or fish is right.")
    script = kind(cli, {}, "neurocaas", "_NEUROCAAS_COMPLETE").source()
    sys.stdout.write(script)
