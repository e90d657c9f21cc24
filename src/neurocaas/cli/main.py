"""The command line's front door: commands found by name, errors as one sentence, exit codes that mean something."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from neurocaas import __version__
from neurocaas.cli.context import Named
from neurocaas.cli.output import fail
from neurocaas.errors import NeurocaasError

# Each command's module is imported only when it is called: `neurocaas run` need not wait for what `doctor` imports.
COMMANDS = {
    "init": "site:init",
    "site": "site:site",
    "deploy": "deploy:deploy",
    "destroy": "infrastructure:destroy",
    "operator": "deploy:operator",
    "analyses": "analyses:analyses",
    "analysis": "analyses:analysis",
    "sample": "analyses:sample",
    "run": "run:run",
    "submit": "run:submit",
    "wait": "run:wait",
    "quote": "run:quote",
    "retry": "run:retry",
    "budget": "budget:budget",
    "jobs": "jobs:jobs",
    "show": "jobs:show",
    "logs": "jobs:logs",
    "results": "jobs:results",
    "cancel": "jobs:cancel",
    "export": "export:export",
    "login": "remote:login",
    "logout": "remote:logout",
    "whoami": "remote:whoami",
    "upload": "remote:upload",
    "data": "remote:data",
    "verify": "certificate:verify",
    "reproduce": "reproduce:reproduce",
    "keys": "certificate:keys",
    "env": "environment:env",
    "schema": "schema:schema",
    "doctor": "doctor:doctor",
    "serve": "serve:serve",
    "manager": "manager:manager",
    "dropbox": "dropbox:dropbox",
    "hardware": "hardware:hardware",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "storage": "storage:storage",
    "completion": "schema:completion",
}
INTERRUPTED = 130

EPILOG = """\b
Exit codes: 0 done · 1 the job ended with failed or cancelled datasets · 2 refused: bad input, nothing was started ·
3 not found or ambiguous · 4 altered certificate or results · 5 unknown key · 6 environment broken ·
7 this machine lacks a part · 8 storage failed · 9 reproduced within tolerance · 10 reproduced differently ·
11 not permitted · 12 another server failed · 70 a fault of the platform · 130 detached by Ctrl-C
"""


class LazyGroup(click.Group):
    """Knows its commands by name before their modules are imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's interface)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"neurocaas.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from neurocaas.documents import nearest

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"There is no command {args[0]!r}.{nearest(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--site", metavar="FOLDER|URL", help="The site: its folder, or its address.")
@click.option("--group", metavar="NAME", help="Which of your groups, on a site over the network.")
@click.version_option(__version__, package_name="neurocaas")
@click.pass_context
def cli(context: click.Context, site: str | None, group: str | None) -> None:
    """Analyse neuroscience data in declared, immutable, reproducible environments."""
    context.obj = Named(site=site, group=group)


def main() -> None:
    """Entry point. No traceback reaches a user: a fault of ours goes to a file, and one sentence says where."""
    # Hundreds of modules are loaded and little is thrown away; looking for garbage meanwhile is a tenth of the start.
    gc.set_threshold(50_000)
    # pydantic would look through all installed packages for plug-ins, at every start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    as_json = "--json" in sys.argv
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except NeurocaasError as error:
        sys.exit(fail(error.message, error.exit_code, remedy=error.remedy, as_json=as_json))
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        sys.exit(fail(error.format_message(), 2, remedy=_usage(error), as_json=as_json))
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(fail(f"{where}{error.strerror or error}.", 8, as_json=as_json))
    except Exception as error:  # noqa: BLE001 (the last resort)
        if type(error).__module__ == "django.db.utils":
            sys.exit(fail(f"The database can't be used: {error}.", 8, as_json=as_json))
        sys.exit(fail(f"A fault of the platform: {error!r}. Details: {_keep(error)}", 70, as_json=as_json))


def _usage(error: click.ClickException) -> str:
    context: Any = getattr(error, "ctx", None)
    return f"Try: {context.command_path} --help" if context else ""


def _keep(error: Exception) -> Path:
    import tempfile
    import traceback

    descriptor, path = tempfile.mkstemp(prefix="neurocaas-fault-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    return Path(path)
