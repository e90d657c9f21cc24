"""`reproduce`: have what a certificate certifies again, and say whether it is the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurocaas.cli.context import this_door, trusted_keys_folder
from neurocaas.cli.door import Json
from neurocaas.cli.output import json_option, print_json, print_table, say
from neurocaas.cli.submission import provider_option
from neurocaas.errors import Altered

if TYPE_CHECKING:
    from neurocaas.certificate import Facts
    from neurocaas.server.jobs.comparing import Finding

WITHIN_TOLERANCE, DIFFERENT = 9, 10


@click.command()
@click.argument("file", metavar="CERTIFICATE", type=click.Path(path_type=Path))
@click.option("--data", multiple=True, type=click.Path(path_type=Path), help="A folder to look for the data in.")
@click.option(
    "--results", type=click.Path(path_type=Path), help="The first results; the certificate's folder if left out."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("reproduced"), show_default=True, help="Folder.")
@provider_option
@json_option
def reproduce(
    file: Path, data: tuple[Path, ...], results: Path | None, out: Path, provider: str, as_json: bool
) -> None:
    """Run what CERTIFICATE certifies again, and compare: equal (0), within tolerance (9) or different (10).

    The same analysis version, on the same data (found by digest), with the same parameters and seed; nothing is
    answered from earlier results.
    """
    door = this_door()
    from neurocaas.certificate import read_certificate
    from neurocaas.cli.run import admit_and_follow
    from neurocaas.server.jobs.comparing import compare_results, machines, read_facts
    from neurocaas.storage.delivery import CERTIFICATE, check_out

    certificate = read_certificate(file)
    _check_seal(certificate)
    facts = read_facts(certificate)
    check_out(out)
    job = door.job(admit_and_follow(door, door.propose_reproduction(facts, data, provider), as_json=as_json))
    door.results(job["job"], out)
    first = results or file.absolute().parent
    with door.first_results(facts) as stored:
        findings = list(compare_results(facts, first, job["stacks"], out, stored))
    again = read_facts(read_certificate(out / CERTIFICATE))
    _report(facts, job, findings, out, machines=machines(facts, again), as_json=as_json)


def _check_seal(certificate: dict[str, object]) -> None:
    """An altered certificate is refused; one by an unknown key can be reproduced all the same."""
    from neurocaas.certificate import Outcome, TrustedKeys, verify

    verdict = verify(certificate, TrustedKeys(trusted_keys_folder()))
    if verdict.outcome is Outcome.ALTERED:
        raise Altered(f"The certificate was altered: {' '.join(verdict.alterations)}")
    if verdict.outcome is Outcome.UNKNOWN_KEY:
        say(f"The certificate is sealed by key {verdict.key_id}, which is not trusted here; nothing in it was altered.")


def _report(facts: Facts, job: Json, findings: list[Finding], out: Path, *, machines: list[str], as_json: bool) -> None:
    from neurocaas.comparison import Sameness, worst

    verdict = worst([one.comparison.verdict for one in findings])
    environments = _environments(facts, job)
    if as_json:
        print_json(
            {
                "verdict": verdict,
                "job": job["job"],
                "reproduces": facts.job.id,
                "out": str(out),
                "environments": environments,
                "machines": machines,
                "files": [
                    {
                        "path": one.path,
                        "verdict": one.comparison.verdict,
                        "detail": one.comparison.detail,
                        "largest": one.comparison.largest,
                    }
                    for one in findings
                ],
            }
        )
    else:
        rows = [(one.path, one.comparison.verdict, one.comparison.detail) for one in findings]
        print_table(("RESULT", "VERDICT", ""), rows)
        for sentence in (*environments, *machines):
            click.echo(sentence)
        count = sum(one.comparison.verdict is Sameness.EQUAL for one in findings)
        click.echo(
            f"{verdict}: {count} of {len(findings)} results of job {facts.job.id} are equal "
            f"in job {job['job']} ({out})."
        )
    sys.exit({Sameness.EQUAL: 0, Sameness.WITHIN_TOLERANCE: WITHIN_TOLERANCE, Sameness.DIFFERENT: DIFFERENT}[verdict])


def _environments(facts: Facts, job: Json) -> list[str]:
    """A sentence for each step, on whether it ran in the very environment of the first time."""
    again = {step["name"]: step["environment"] or "" for step in job["steps"]}
    found = []
    for step in facts.steps:
        first = step.environment.digest or next(
            (one.reused_from.environment for one in facts.stacks if one.step == step.name and one.reused_from), None
        )
        now, before = str(again.get(step.name))[:12], str(first)[:12]
        if now == before:
            found.append(f"{step.name}: the same environment, {now}.")
        else:
            found.append(f"{step.name}: another environment, {now}; the first time it was {before}.")
    return found
