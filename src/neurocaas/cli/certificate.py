"""`verify` and `keys`: is this certificate as it was signed, and by whom?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurocaas.cli.context import site_settings, trusted_keys_folder
from neurocaas.cli.output import json_option, print_json, print_table
from neurocaas.documents import read_json
from neurocaas.errors import Altered, NeurocaasError, Refused, UnknownKey

if TYPE_CHECKING:
    from neurocaas.certificate import TrustedKeys

VALID, ALTERED, UNKNOWN_KEY = 0, Altered.exit_code, UnknownKey.exit_code


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("results", type=click.Path(path_type=Path), required=False)
@json_option
def verify(file: Path, results: Path | None, as_json: bool) -> None:
    """Check the certificate FILE, and fetched RESULTS against it: valid (0), altered and what (4), unknown key (5)."""
    from neurocaas.certificate import Outcome, read_certificate
    from neurocaas.certificate import verify as verify_certificate

    verdict = verify_certificate(read_certificate(file), _trusted(), results)
    codes = {Outcome.VALID: VALID, Outcome.ALTERED: ALTERED, Outcome.UNKNOWN_KEY: UNKNOWN_KEY}
    if as_json:
        print_json(
            {
                "verdict": verdict.outcome,
                "key_id": verdict.key_id,
                "sealed_by": verdict.sealed_by,
                "alterations": verdict.alterations,
            }
        )
    elif verdict.outcome is Outcome.VALID:
        with_results = " The results are those it names." if results else ""
        click.echo(f"certificate valid: sealed by {verdict.sealed_by} (key {verdict.key_id}).{with_results}")
    elif verdict.outcome is Outcome.UNKNOWN_KEY:
        click.echo(f"unknown key: {verdict.key_id} sealed it, and nothing was altered since.")
        click.echo(f"If you know whose key it is: neurocaas keys trust {file} --name NAME")
    else:
        click.echo(f"altered: {len(verdict.alterations)} finding(s).")
        for sentence in verdict.alterations:
            click.echo(f"  {sentence}")
    sys.exit(codes[verdict.outcome])


@click.group()
def keys() -> None:
    """The site's key, and keys of others that are trusted here."""


@keys.command()
@json_option
def show(as_json: bool) -> None:
    """Show the site's own key: what to give to others, so that they can verify its certificates."""
    from neurocaas.certificate import SigningKey

    key = SigningKey.load(site_settings().key)
    if as_json:
        print_json({"key_id": key.key_id, "public_key": str(key.public_path)})
    else:
        click.echo(f"Key {key.key_id}. Give this file to others: {key.public_path}")


@keys.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """List the trusted keys."""
    found = [(key.name, key.key_id) for key in _trusted()]
    if as_json:
        print_json([{"name": name, "key_id": key_id} for name, key_id in found])
    else:
        print_table(("NAME", "KEY"), found)


@keys.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="What to call the key here; the site's name in the file, if left out.")
@json_option
def trust(file: Path, name: str | None, as_json: bool) -> None:
    """Trust the key in FILE: a public key, or whatever that key sealed (a certificate, an exported analysis)."""
    import tarfile
    import tempfile

    from neurocaas.server.exchange import read_contents

    if file.is_file() and tarfile.is_tarfile(file):
        contents = read_contents(file)
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as document:
            json.dump(contents, document)
            document.flush()
            key = _trusted().add(Path(document.name), name or _site_name(contents))
    else:
        key = _trusted().add(file, name or _site_name_in(file))
    if as_json:
        print_json({"name": key.name, "key_id": key.key_id})
    else:
        click.echo(f"Key {key.key_id} is trusted as {key.name}.")


@keys.command()
@click.argument("name")
@json_option
def distrust(name: str, as_json: bool) -> None:
    """Trust the key called NAME, or with that id, no longer."""
    key = _trusted().remove(name)
    if as_json:
        print_json({"name": key.name, "key_id": key.key_id})
    else:
        click.echo(f"Key {key.key_id} is trusted no longer.")


def _trusted() -> TrustedKeys:
    from neurocaas.certificate import TrustedKeys

    return TrustedKeys(trusted_keys_folder())


def _site_name_in(file: Path) -> str:
    try:
        return _site_name(read_json(file))
    except NeurocaasError:  # a public key: its file's name will do
        return file.stem


def _site_name(document: Any) -> str:
    try:
        return str(document["site"]["name"])
    except (KeyError, TypeError) as cause:
        raise Refused("The document names no site; --name NAME is right.") from cause
