"""Upload one file by HTTP PUT to nginx and by tus to the platform, in turn, and print both in MB/s, and their ratio.

The client is the same for both (Python's http.client, blocks of 1 MiB), and so are disk and machine. Figures are
printed and written to benchmarks/results/; none is judged here, but in tests/system/test_transfer_rate.py. Bytes that
arrived wrong end the measurement.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neurocaas.storage import digest_file

RESULTS = Path(__file__).parents[1] / "results"
BLOCK_BYTES = 1 << 20
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
{user}
events {{}}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/body;
  server {{ listen 127.0.0.1:{port}; location / {{ root {folder}/put; dav_methods PUT; }} }}
}}
"""


def main() -> None:
    options = parse_options()
    if not (nginx := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")):
        sys.exit("nginx is missing: apt-get install nginx")
    with tempfile.TemporaryDirectory(prefix="neurocaas-transfer-", dir=options.folder) as name:
        folder = Path(name)
        file = random_file(folder / "file.bin", int(options.gb * 1e9))
        digest = digest_file(file).sha256
        seconds: dict[str, list[float]] = {"nginx": [], "tus": []}
        with peer(nginx, folder) as put, platform(folder) as tus:
            for _ in range(options.repetitions):
                seconds["nginx"].append(timed_put(put, file))
                check(folder / "put" / "file.bin", digest)
                seconds["tus"].append(timed_tus(tus, file, folder, digest))
    speeds = {name: [options.gb * 1e3 / one for one in each] for name, each in seconds.items()}
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    figures = {"gb": options.gb, "speeds": speeds, "medians": medians, "ratio": medians["tus"] / medians["nginx"]}
    if options.json:
        print(json.dumps(figures))
    else:
        report(figures)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.transfer", description=__doc__)
    parser.add_argument("--gb", type=float, default=2.0, help="size of the file")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where everything is written (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON alone")
    return parser.parse_args()


def report(figures: dict[str, Any]) -> None:
    """Both speeds and their ratio, on the screen and in files."""
    speeds = figures["speeds"]
    lines = [f"Upload of {figures['gb']:g} GB over the loopback, MB/s; medians of {len(speeds['tus'])}, in turn."]
    for name, what in [("nginx", "nginx, PUT"), ("tus", "platform, tus")]:
        each = " ".join(f"{one:.0f}" for one in speeds[name])
        lines.append(f"  {what:14} {figures['medians'][name]:6.0f}   ({each})")
    lines.append(f"  ratio          {figures['ratio']:6.2f}")
    text = "\n".join(lines)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "transfer.txt").write_text(text + "\n")
    (RESULTS / "transfer.json").write_text(json.dumps(figures, indent=2) + "\n")


def random_file(path: Path, size_bytes: int) -> Path:
    with path.open("wb") as file:
        for start in range(0, size_bytes, BLOCK_BYTES):
            file.write(os.urandom(min(BLOCK_BYTES, size_bytes - start)))
    return path


@contextlib.contextmanager
def peer(nginx: str, folder: Path) -> Iterator[int]:
    """nginx with its own PUT. Yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    (folder / "put").mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, user=user))
    with running([nginx, "-c", str(folder / "nginx.conf"), "-p", str(folder)], port):
        yield port


@contextlib.contextmanager
def platform(folder: Path) -> Iterator[int]:
    """The platform's tus application under uvicorn. Yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        database, store = f"sqlite:///{folder / 'db.sqlite3'}", (folder / "store").as_uri()
        command = [sys.executable, "-m", "benchmarks.transfer.server", database, store, str(listening.fileno())]
        with running(command, port, listening.fileno()):
            yield port


@contextlib.contextmanager
def running(command: list[str], port: int, *descriptors: int) -> Iterator[None]:
    """A server, from when it answers until the block ends."""
    server = subprocess.Popen(command, pass_fds=descriptors, cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{command[0]} does not answer.")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


def answers(port: int) -> bool:
    try:
        request(port, "OPTIONS", "/uploads/", None, {})
    except OSError:
        return False
    return True


def timed_put(port: int, file: Path) -> float:
    (started, ended), status, _ = sent(port, "PUT", "/file.bin", file, {})
    if status not in {201, 204}:
        sys.exit(f"nginx answered {status}.")
    return ended - started


def timed_tus(port: int, file: Path, folder: Path, digest: str) -> float:
    name = base64.b64encode(b"file.bin").decode()
    size_bytes = file.stat().st_size
    tus = {"Tus-Resumable": "1.0.0"}
    length = {"Upload-Length": str(size_bytes), "Upload-Metadata": f"filename {name}"}
    _, _, headers = request(port, "POST", "/uploads/", None, tus | length)
    location = headers["Location"]
    kind = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    (started, ended), status, _ = sent(port, "PATCH", location, file, tus | kind)
    if status != 204:
        sys.exit(f"The platform answered {status}.")
    place = location.split("/")[2]
    stored = folder / "store" / "groups" / "bench" / "data" / place / "file"
    grown = folder / "store" / ".receiving" / place
    deadline = time.monotonic() + 60
    while grown.exists() and time.monotonic() < deadline:
        time.sleep(0.05)  # the item is made in the background
    if stored.exists():  # the second time, the group has the content already
        check(stored, digest)
    return ended - started


def sent(
    port: int, method: str, path: str, file: Path, headers: dict[str, str]
) -> tuple[tuple[float, float], int, http.client.HTTPMessage]:
    os.sync()  # what was written before is not to be written back while this is measured
    with file.open("rb") as body:
        length = {"Content-Length": str(file.stat().st_size)}
        return request(port, method, path, body, headers | length)


def request(
    port: int, method: str, path: str, body: object, headers: dict[str, str]
) -> tuple[tuple[float, float], int, http.client.HTTPMessage]:
    """When it began and ended, the status, and the headers of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600, blocksize=BLOCK_BYTES)
    with contextlib.closing(connection):
        started = time.perf_counter()
        connection.request(method, path, body, headers)  # type: ignore[arg-type]
        answer = connection.getresponse()
        answer.read()
        return (started, time.perf_counter()), answer.status, answer.headers


def check(path: Path, digest: str) -> None:
    if digest_file(path).sha256 != digest:
        sys.exit(f"{path} is not what was sent.")


if __name__ == "__main__":
    main()
