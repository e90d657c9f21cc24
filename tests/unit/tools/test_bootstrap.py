"""tools/bootstrap.py: the pinned uv and nothing else reaches a bare machine."""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.util
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FILENAME = "uv-1.2.3-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"


def wheel() -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("uv-1.2.3.data/scripts/uv", "#!/bin/sh\necho uv 1.2.3\n")
    return memory.getvalue()


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, with its downloads below the test's folder, on an x86_64 machine with glibc and no index named."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TOOLS", tmp_path / "tools")
    monkeypatch.setattr(module, "TRIES", 1)
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(module.platform, "libc_ver", lambda: ("glibc", "2.36"))
    for name in module.INDEX_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return module


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index on this machine that offers the wheel above; its address."""
    (tmp_path / "www" / "uv").mkdir(parents=True)
    (tmp_path / "www" / FILENAME).write_bytes(wheel())
    (tmp_path / "www" / "uv" / "index.html").write_text(f'<a href="../{FILENAME}#sha256=0">{FILENAME}</a>')
    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it
        pass


def lock(url: str, sha256: str) -> dict[str, Any]:
    return {"version": "1.2.3", "wheels": [{"url": f"{url}/{FILENAME}", "hash": f"sha256:{sha256}"}]}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("libc", ["glibc", ""])
def test_the_lock_pins_a_wheel_for_every_common_machine(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, machine: str, libc: str
) -> None:
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: machine)
    monkeypatch.setattr(bootstrap.platform, "libc_ver", lambda: (libc, ""))
    filename, _, sha256 = bootstrap.pinned_wheel(bootstrap.locked_package())
    assert machine in filename
    assert ("manylinux" if libc else "musllinux") in filename
    assert len(sha256) == 64


def test_an_unknown_processor_is_refused_in_one_sentence(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: "vax")
    with pytest.raises(SystemExit, match=r"uv has no wheel for linux vax .*install uv .* by hand"):
        bootstrap.pinned_wheel(bootstrap.locked_package())


def test_the_wheel_is_fetched_checked_and_unpacked_once(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    monkeypatch.setattr(bootstrap, "locked_package", lambda: lock(index, hashlib.sha256(wheel()).hexdigest()))
    program = Path(bootstrap.fetched_uv())
    assert program.stat().st_mode & 0o111
    assert [path.name for path in program.parent.iterdir()] == ["uv"]
    monkeypatch.setattr(bootstrap, "download", lambda url: pytest.fail("fetched twice"))
    assert bootstrap.fetched_uv() == str(program)


def test_another_file_than_the_pinned_one_is_refused(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    monkeypatch.setattr(bootstrap, "locked_package", lambda: lock(index, "0" * 64))
    with pytest.raises(SystemExit, match=r"has sha256 .*, but uv\.lock says 0000"):
        bootstrap.fetched_uv()
    assert not list(bootstrap.TOOLS.glob("**/uv"))


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_the_index_named_in_the_environment_is_asked(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, index: str, variable: str
) -> None:
    elsewhere = lock("http://127.0.0.1:1", hashlib.sha256(wheel()).hexdigest())
    monkeypatch.setattr(bootstrap, "locked_package", lambda: elsewhere)
    monkeypatch.setenv(variable, index)
    assert Path(bootstrap.fetched_uv()).exists()


def test_no_network_is_one_sentence_without_the_password(bootstrap: ModuleType) -> None:
    with pytest.raises(SystemExit, match="/uv could not be read") as caught:
        bootstrap.download("http://me:secret@127.0.0.1:1/uv")
    assert "secret" not in str(caught.value)
