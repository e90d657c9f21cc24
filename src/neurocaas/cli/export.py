"""`export`: a job in a form that other tools read."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurocaas.cli.context import this_site
from neurocaas.cli.output import json_option, print_json
from neurocaas.errors import Refused

if TYPE_CHECKING:
    from neurocaas.server.analyses import Analyses


@click.command()
@click.argument("job")
@click.option("--crate", is_flag=True, help="As a Workflow Run RO-Crate.")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="A new folder, or a new file ending in .zip.  [default: JOB-crate.zip]",
)
@json_option
def export(job: str, crate: bool, to: Path | None, as_json: bool) -> None:
    """Write JOB with its results, workflows and provenance for others, as a Workflow Run RO-Crate (--crate)."""
    if not crate:
        raise Refused("export: found no form to export as; --crate is right.")
    site = this_site()
    from neurocaas.certificate.crate import check_target, write_crate
    from neurocaas.server.jobs.results import fetch
    from neurocaas.server.jobs.status import ENDED
    from neurocaas.server.jobs.view import find_job
    from neurocaas.server.site import LOCAL_GROUP
    from neurocaas.storage import keys

    row = find_job(job, LOCAL_GROUP)
    if row.status not in ENDED:
        raise Refused(
            f"Job {row.id} has not ended: it is {row.status}, and has no certificate yet.",
            remedy=f"neurocaas show {row.id} says how far it is; neurocaas cancel {row.id} ends it.",
        )
    target = to or Path(f"{row.id}-crate.zip")
    check_target(target)
    certificate = json.loads(site.store.get(keys.certificate(row.group_id, row.id)))
    with tempfile.TemporaryDirectory(prefix=".neurocaas-export-", dir=_beside(target)) as folder:
        results = Path(folder) / "results"
        fetch(site.store, row, results)
        write_crate(certificate, results, target, workflows=_workflows(site.analyses, certificate))
    if as_json:
        print_json({"job": row.id, "crate": str(target)})
    else:
        click.echo(f"Job {row.id} is in {target}")


def _beside(target: Path) -> Path:
    """The nearest folder above the target that there is: results may be too large for /tmp."""
    return next(one for one in target.absolute().parents if one.is_dir())


def _workflows(analyses: Analyses, certificate: dict[str, Any]) -> dict[str, Path]:
    """The files of each analysis version that the certificate names."""
    analysis = certificate["analysis"]
    named = {analysis["version"]: analysis["name"]}
    named |= {step["version"]: step["analysis"] for step in certificate.get("steps", ())}
    return {digest: analyses.folder(name, digest) for digest, name in named.items()}
