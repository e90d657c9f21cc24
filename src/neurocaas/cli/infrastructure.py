"""`deploy --provider aws` and `destroy`: a provider's infrastructure, made and taken down (paper §2.1.3)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from neurocaas.cli.context import site_settings, this_site
from neurocaas.cli.output import json_option, print_json, say
from neurocaas.documents import read_json
from neurocaas.errors import Refused
from neurocaas.settings import SITE_FILE

if TYPE_CHECKING:
    from neurocaas.bank.aws.account import Account
    from neurocaas.bank.aws.infrastructure.access_keys import IssuedKey
    from neurocaas.bank.aws.infrastructure.declaration import Declaration
    from neurocaas.bank.aws.infrastructure.drift import Findings
    from neurocaas.bank.aws.infrastructure.plan import Change

PROVIDERS = click.Choice(["aws"])


def deploy_infrastructure(*, dry_run: bool, show_drift: bool, show_keys: bool | None, as_json: bool) -> None:
    """Make the AWS account what the source repo's documents say, or only show what would change."""
    wanted, account = _wanted(committed=not dry_run and not show_drift)
    from neurocaas.bank.aws.infrastructure import access_keys, deploying
    from neurocaas.bank.aws.infrastructure.drift import drift

    if show_drift:
        _tell_drift(drift(account, wanted.aws), as_json=as_json)
        return
    if dry_run:
        changes = deploying.preview(account, wanted)
        _tell_plan(account, wanted, changes, as_json=as_json)
        return
    done = deploying.deploy(account, wanted)
    boxes = deploying.boxes(account, wanted)
    entries = deploying.site_entries(done.outputs, boxes, read_json(site_settings().root / SITE_FILE))
    # A secret that went into a file or a log would not have been shown once, but kept.
    keys = access_keys.issue(account, wanted) if (sys.stdout.isatty() if show_keys is None else show_keys) else None
    if as_json:
        issued = [asdict(one) for one in keys or ()]
        changed = [asdict(one) for one in done.changes]
        print_json({"changes": changed, "outputs": done.outputs, "site": entries, "keys": issued})
        return
    _tell_changes(done.changes)
    click.echo(f"{len(done.changes)} changed." if done.changes else "Nothing to change.")
    if entries:
        click.echo(f"\nFor the site to use it, {SITE_FILE} must hold:\n{json.dumps(entries, indent=2)}")
    if keys is not None:
        _tell_keys(keys)
    elif due := access_keys.due(account, wanted):
        say(f"{len(due)} of the drop-boxes' users are to have new keys, which are shown once, and only on a terminal.")


@click.command()
@click.option("--provider", type=PROVIDERS, required=True, help="Whose infrastructure.")
@click.option("--with-data", is_flag=True, help="Delete the buckets too, with everything in them.")
@click.option("--confirm", metavar="NAME", help="The stack's name, in place of being asked for it.")
@json_option
def destroy(provider: str, with_data: bool, confirm: str | None, as_json: bool) -> None:
    """Take the site's infrastructure at a provider down. Its buckets, which hold people's data, stay."""
    from neurocaas.bank.aws.account import Account
    from neurocaas.bank.aws.infrastructure import destroying
    from neurocaas.bank.aws.infrastructure.declaration import aws_settings

    aws = aws_settings(site_settings())
    account = Account(aws.region)
    if with_data:
        _confirm(aws.stack, destroying.standing(account, aws).kept, confirm)
    done = destroying.destroy(account, aws, with_data=with_data)
    if as_json:
        print_json({"provider": provider} | asdict(done))
        return
    click.echo(f"The stack {aws.stack} is gone." if done.stack else f"There is no stack {aws.stack}: nothing to do.")
    for bucket in done.emptied:
        click.echo(f"Deleted s3://{bucket} and everything in it.")
    for bucket in done.kept:
        click.echo(f"Kept s3://{bucket}; deploying again takes it in.")


def _wanted(*, committed: bool) -> tuple[Declaration, Account]:
    """What the documents ask for, and the account. Raises Refused, also for what must be committed and is not."""
    from neurocaas.bank.aws.account import Account
    from neurocaas.bank.aws.infrastructure.declaration import declare

    site = this_site()
    # Django's models can be imported only once the site's database is known.
    from neurocaas.server.groups.deploy import declared, require_committed

    documents = declared(site)
    wanted = declare(site.settings, documents.profiles, documents.accesses)
    if committed:
        require_committed(site, "neurocaas deploy --dry-run --provider aws")
    return wanted, Account(wanted.aws.region)


def _confirm(stack: str, buckets: tuple[str, ...], given: str | None) -> None:
    """Raises Refused unless the person names the stack."""
    if given is None:
        for bucket in buckets:
            say(f"s3://{bucket} will be deleted, with everything in it.")
        given = click.prompt("This can't be undone. Type the stack's name to go on", err=True)
    if given != stack:
        raise Refused(f"Found {given!r}; {stack!r}, the stack's name, is right. Nothing was deleted.")


def _tell_plan(account: Account, wanted: Declaration, changes: list[Change], *, as_json: bool) -> None:
    from neurocaas.bank.aws.infrastructure import access_keys

    due = access_keys.due(account, wanted)
    if as_json:
        people = [{"group": one.group, "user": one.user, "replaced": one.replaced} for one in due]
        budget = wanted.aws.budget_dollars_per_month
        print_json({"changes": [asdict(one) for one in changes], "keys": people, "budget_dollars_per_month": budget})
        return
    click.echo(f"Stack {wanted.aws.stack} in {wanted.aws.region}:")
    _tell_changes(changes)
    click.echo(f"{len(changes)} would change." if changes else "Nothing to change.")
    click.echo(_budget(wanted))
    for one in due:
        click.echo(f"New keys would be made for {one.user} of {one.group}{' in place of the old' * one.replaced}.")


def _budget(wanted: Declaration) -> str:
    if wanted.aws.budget_dollars_per_month is None:
        return "Nothing bounds what the account spends: aws.budget_dollars_per_month is null."
    bound = f"At most {wanted.aws.budget_dollars_per_month} dollars a month, for the whole account: "
    if wanted.aws.manager:
        return bound + f"above it, {wanted.aws.manager} may start no job, and the alarm topic is told."
    return bound + "above it, the alarm topic is told. To have jobs stopped, name the site's role as aws.manager."


def _tell_changes(changes: list[Change]) -> None:
    for one in changes:
        click.echo(f"{one.verb} {one.what}")
        for line in one.lines:
            click.echo(f"    {line}")


def _tell_keys(keys: Iterator[IssuedKey]) -> None:
    for one in keys:
        click.echo(f"\n{one.user} of {one.group}, shown this once{' (the old key ends now)' * one.replaced}:")
        click.echo(f"    AWS_ACCESS_KEY_ID={one.access_key_id}")
        click.echo(f"    AWS_SECRET_ACCESS_KEY={one.secret_access_key}")


def _tell_drift(findings: Findings, *, as_json: bool) -> None:
    if as_json:
        found: dict[str, Any] = asdict(findings)
        print_json(found)
        return
    for one in findings.found:
        click.echo(f"{one.resource}: {one.what}")
    click.echo(
        "It differs from what was deployed." if findings.found else "All that was looked at is as it was deployed."
    )
    if findings.unavailable:
        say(f"CloudFormation's own detection of drift is unavailable: {findings.unavailable.rstrip('.')}.")
