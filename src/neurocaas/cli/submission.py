"""The arguments and options that describe a submission, and what they ask for."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import click

from neurocaas.cli.door import Asked
from neurocaas.cli.output import json_option
from neurocaas.errors import NotFound, Refused

provider_option = click.option(
    "--provider", default="", help="Whose instances it runs on; the site's first if left out."
)


def submission(command: Any) -> Any:
    """The arguments and options that describe a submission."""
    for option in (
        json_option,
        click.option("--fresh", is_flag=True, help="Answer nothing from earlier results."),
        click.option("--save", is_flag=True, help="The save price: capacity that may be interrupted; needs --minutes."),
        provider_option,
        click.option("--minutes", type=float, help="The longest that one stack may run."),
        click.option("--points", type=click.Path(path_type=Path), help="A sweep over the rows of a CSV, YAML or JSON."),
        click.option("--sweep", "swept", multiple=True, metavar="KEY=V1,V2,…", help="A sweep over these values."),
        click.option("--seed", type=int, default=0, show_default=True, help="Seed for the workflow's random numbers."),
        click.option("--input", "more", multiple=True, metavar="NAME=PATH", help="Another named input."),
        click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One parameter."),
        click.option("--config", type=click.Path(path_type=Path), help="Parameters, as a YAML or JSON file."),
        click.argument("data", nargs=-1, metavar="DATA..."),
        click.argument("analysis"),
    ):
        command = option(command)
    return command


def read(
    *,
    analysis: str,
    data: tuple[str, ...],
    config: Path | None,
    assignments: tuple[str, ...],
    more: tuple[str, ...],
    seed: int,
    swept: tuple[str, ...],
    points: Path | None,
    minutes: float | None,
    save: bool,
    fresh: bool,
    provider: str,
) -> Asked:
    """What these options ask for. Raises Refused or NotFound if a document among them is not right."""
    given: dict[str, Any] = {}
    if config or assignments:
        from neurocaas.blueprint.config_files import read_assignments, read_config

        given = (read_config(config) if config else {}) | read_assignments(assignments)
    return Asked(
        analysis=analysis,
        data=data,
        config=given,
        more=dict(_named(one) for one in more),
        seed=seed,
        points=_points(swept, points),
        timeout_minutes=minutes,
        save=save,
        fresh=fresh,
        provider=provider,
    )


def _named(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise Refused(f"--input {text}: found no name before an equals sign; NAME=PATH is right.")
    return name, path


def _points(swept: tuple[str, ...], points: Path | None) -> tuple[dict[str, Any], ...]:
    """The grid of all --sweep, at each of the points of --points if there are any."""
    if not swept and points is None:
        return ()
    from neurocaas.blueprint.config_files import read_sweep
    from neurocaas.protocol import grid

    combined = grid(read_sweep(swept)) if swept else ({},)
    listed = _read_points(points) if points is not None else [{}]
    return tuple({**one, **other} for one in listed for other in combined)


def _read_points(path: Path) -> list[dict[str, Any]]:
    """A list of configs: a JSON or YAML list of objects, or a CSV with a column for each parameter."""
    from neurocaas.blueprint.config_files import read_list, value_of

    if path.suffix.lower() != ".csv":
        return read_list(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
    except FileNotFoundError:
        raise NotFound(f"{path}: there is no such file.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise Refused(f"{path} can't be read: {cause}; a CSV with a column for each parameter is right.") from cause
    if not rows or any(None in row or None in row.values() for row in rows):
        raise Refused(f"{path}: a header and at least one row as long as it are right.")
    return [{name: value_of(text, f"{path}: {name}") for name, text in row.items()} for row in rows]
