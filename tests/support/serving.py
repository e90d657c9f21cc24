"""The web application of a site, in a process and on a port of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from support.sites import until


@contextmanager
def web_process(root: Path, **variables: str) -> Iterator[str]:
    """The site at `root`, served by uvicorn as long as the block lasts. Gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "neurocaas.server.serving.asgi:application"]
    environment = os.environ | variables | {"NEUROCAAS_SITE": str(root)}
    log = root.parent / "web.log"
    with log.open("wb") as output:
        web = subprocess.Popen(
            [*command, "--port", str(port), "--timeout-graceful-shutdown", "5"],
            env=environment,
            stdout=output,
            stderr=output,
            cwd="/",
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert web.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/api/v1/openapi.json").is_success
        except httpx.TransportError:
            return False

    try:
        until(answers)
        yield url
    finally:
        web.send_signal(signal.SIGTERM)
        try:
            web.wait(20)
        except subprocess.TimeoutExpired:
            web.kill()
            web.wait()
    said = log.read_text()
    assert "Traceback" not in said, said


ACCOUNT = """
import sys
from pathlib import Path
from neurocaas.server.serving.configuration import connect_fully
from neurocaas.settings import read_settings
site = connect_fully(read_settings(Path(sys.argv[1])))
from neurocaas.blueprint.profile import Profile, UserProfile
from neurocaas.server.accounts.models import User
from neurocaas.server.accounts.tokens import issue
from neurocaas.server.groups.publishing import create_group
create_group(site, Profile(name="lab", users={"ada": UserProfile(role="owner")}))
print(issue(User.objects.create_user("ada", "ada@example.org"), name="test", scope="manage", days=None)[1])
"""


def make_account(root: Path, **variables: str) -> str:
    """A group `lab`, which ada owns. Returns an API token of hers."""
    command = [sys.executable, "-c", ACCOUNT, str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | variables)
    return done.stdout.split()[-1]
