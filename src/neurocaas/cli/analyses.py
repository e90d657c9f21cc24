"""`analyses`, `analysis`, `sample`: what can be run, its versions, and how it travels to another site."""

from __future__ import annotations

from pathlib import Path

import click

from neurocaas.cli.context import this_door, this_site
from neurocaas.cli.door import Json
from neurocaas.cli.output import json_option, print_json, print_table, say


@click.command()
@json_option
def analyses(as_json: bool) -> None:
    """List the site's analyses with their current versions."""
    rows, faults = this_door().analyses()
    for fault in faults:
        say(f"error: {fault}")
    if as_json:
        print_json(rows)
    else:
        print_table(("ANALYSIS", "VERSION", ""), [(one["name"], one["label"], one["title"]) for one in rows])


@click.group()
def analysis() -> None:
    """One analysis: show it, pin its parts, export it, import it."""


@analysis.command(name="show")
@click.argument("spec", metavar="ANALYSIS")
@json_option
def show_(spec: str, as_json: bool) -> None:
    """Show an analysis: what it takes, its parameters with units and defaults, what it writes."""
    described = this_door().analysis(spec)
    if as_json:
        print_json(described)
        return
    blueprint = described["blueprint"]
    click.echo(f"{described['label']}: {blueprint['title']}\n{blueprint['summary']}\n")
    if paper := blueprint.get("paper"):
        click.echo(f"Paper: {paper['authors']}: {paper['title']}. {paper['doi']}\n")
    inputs = [(name, one["form"], " ".join(one["kinds"]), one["title"]) for name, one in blueprint["inputs"].items()]
    print_table(("INPUT", "FORM", "KINDS", ""), inputs)
    click.echo()
    parameters = [
        (name, one.get("default", ""), one.get("unit", ""), one.get("description", ""))
        for name, one in described["parameters"].get("properties", {}).items()
    ]
    print_table(("PARAMETER", "DEFAULT", "UNIT", ""), parameters)
    click.echo()
    outputs = _outputs(blueprint)
    for name, part in described["parts"].items():
        outputs += [(f"{name}.{key}", *rest) for key, *rest in _outputs(part["blueprint"])]
    print_table(("OUTPUT", "FILE", ""), outputs)


def _outputs(blueprint: Json) -> list[tuple[str, ...]]:
    return [(name, one["pattern"], one["description"]) for name, one in blueprint["outputs"].items()]


@analysis.command()
@click.argument("name")
@json_option
def pin(name: str, as_json: bool) -> None:
    """Pin the parts of the composite analysis NAME to their versions as they are in the source repo now."""
    site = this_site()
    from neurocaas.blueprint import read_version
    from neurocaas.blueprint.pinning import pin as pin_parts

    folder = site.repo.folder(name)
    pins = pin_parts(folder, lambda part: read_version(site.repo.folder(part), part).digest)
    if as_json:
        print_json(pins)
    else:
        for pinned in pins.values():
            click.echo(pinned)


@analysis.command()
@click.argument("spec", metavar="NAME@VERSION")
@click.option("--to", type=click.Path(path_type=Path), help="The file to write; NAME-VERSION.neurocaas if left out.")
@json_option
def export(spec: str, to: Path | None, as_json: bool) -> None:
    """Write an analysis version, signed and with its interpreter, to one file that another site can import."""
    site = this_site()
    from neurocaas.server.exchange import export_version

    resolved = site.analyses.resolve(spec)
    target = to or Path(f"{resolved.version.name}-{resolved.version.digest[:12]}.neurocaas")
    contents = export_version(site, resolved, target, progress=say)
    if as_json:
        print_json({"file": str(target), **contents})
    else:
        click.echo(f"{resolved.label} is in {target}, signed by key {contents['seal']['key_id']}.")


@analysis.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def import_(file: Path, as_json: bool) -> None:
    """Take an analysis version from a FILE that another site exported; its key must be trusted (keys trust)."""
    site = this_site()
    from neurocaas.server.exchange import import_version

    contents = import_version(site, file, progress=say)
    name, digest = contents["analysis"]["name"], contents["analysis"]["version"]
    if as_json:
        print_json(contents)
    else:
        click.echo(f"{name}@{digest[:12]}, signed by key {contents['seal']['key_id']}, is on this site.")
        click.echo(f"Run it: neurocaas run {name}@{digest[:12]} DATA")


@click.command()
@click.argument("analysis_spec", metavar="ANALYSIS")
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def sample(analysis_spec: str, folder: Path, as_json: bool) -> None:
    """Write the sample data of ANALYSIS into FOLDER."""
    files = this_door().sample(analysis_spec, folder)
    if as_json:
        print_json([str(file) for file in files])
    else:
        for file in files:
            click.echo(file)
