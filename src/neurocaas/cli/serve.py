"""`serve`: the whole platform on this machine."""

from __future__ import annotations

import click

from neurocaas.cli.context import site_settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
def serve(host: str, port: int) -> None:
    """Serve the site: web pages, API, job manager and housekeeping, until Ctrl-C.

    Analyses that run when it ends go on, and are adopted by the next start. SIGHUP starts the web process anew
    without refusing a connection.
    """
    from neurocaas.server.serving.supervisor import serve as supervise

    supervise(site_settings(), host=host, port=port, say=click.echo)
