"""The real way to a preview: the worker in its sandbox, an answer that nobody trusts, and the shelf."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocaas import sandbox
from neurocaas.errors import NotFound, Refused
from neurocaas.reasons import Reason
from neurocaas.sandbox import Finished, Usage
from neurocaas.server.viewers import opening, shelf, showing
from neurocaas.server.viewers.drawing import draw
from neurocaas.server.viewers.opening import read_answer
from neurocaas.server.viewers.previews import Axis, Block, FramePreview, NotShown, Selection, TextPreview
from neurocaas.server.viewers.sizes import LARGEST_SIDE, TEXT_CHARACTERS
from unit.server.viewers.conftest import THEMES, Platform, Seen

TEXT = {"form": "text", "text": "hello"}


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("movie", data=np.arange(6 * 40 * 50.0).reshape(6, 40, 50), compression="gzip")
    return path


def test_a_file_is_opened_in_the_sandbox_and_drawn_in_both_themes(platform: Platform, stack: Path) -> None:
    preview = platform.preview(stack, index=2)
    assert (preview.form, preview.chosen.path, preview.index) == ("array", "movie", 2)
    pictures = [platform.picture(stack, index=2, theme=theme) for theme in THEMES]
    assert all(one is not None and one.startswith(b"\x89PNG") for one in pictures)
    assert pictures[0] != pictures[1]
    assert pictures[0] != platform.picture(stack, index=3)


def test_what_was_made_once_is_found_again_without_the_file(platform: Platform, stack: Path) -> None:
    first, picture = platform.preview(stack), platform.picture(stack)
    stack.unlink()
    took = []
    for _ in range(5):
        started = time.monotonic()
        assert platform.preview(stack) == first
        took.append(time.monotonic() - started)
    assert min(took) < 0.1
    assert platform.picture(stack) == picture
    with pytest.raises(NotFound, match=r"stack\.h5"):
        platform.preview(stack, index=5)


@pytest.mark.parametrize("name", ["answer.json", "numbers"])
def test_what_lies_damaged_on_the_shelf_is_made_anew(platform: Platform, stack: Path, name: str) -> None:
    first = platform.preview(stack)
    for file in platform.cache.glob(f"*/*/{name}"):
        file.write_bytes(file.read_bytes()[:-3])
    assert platform.preview(stack) == first
    assert platform.picture(stack)


def test_the_shelf_forgets_what_was_looked_at_longest_ago(platform: Platform, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.txt" for number in range(3)]
    for number, file in enumerate(files):
        file.write_text("x" * 1000)
        platform.preview(file)
        (folder,) = [one for one in platform.cache.glob("*/*") if one.stat().st_mtime > 10**9]
        os.utime(folder, (number, number))
    assert shelf.prune(platform.cache, most_bytes=10**9) == 0
    assert shelf.prune(platform.cache, most_bytes=2500) > 1000
    assert sorted(one.stat().st_mtime for one in platform.cache.glob("*/*")) == [1, 2]


def test_markup_is_left_to_a_frame_and_never_opened(platform: Platform, tmp_path: Path) -> None:
    assert platform.preview(tmp_path / "report.html") == FramePreview(kind="html")
    assert platform.preview(tmp_path / "figure.svg") == FramePreview(kind="svg")
    assert platform.picture(tmp_path / "figure.svg") is None


def test_what_no_viewer_shows_is_a_sentence(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    assert platform.preview(tmp_path / "a.pdf").sentence == "No viewer here shows .pdf files."


def test_only_a_digest_names_a_place_on_the_shelf(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="64 hex digits"):
        showing.preview(tmp_path / "a.txt", kind=".txt", cache=tmp_path, sha256="../../etc")


@pytest.mark.alone
def test_five_gigabytes_are_previewed_in_two_seconds(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, "w+", np.float64, (25_000, 25_000)).flush()
    started = time.monotonic()
    preview = platform.preview(path)
    assert preview.picture
    assert time.monotonic() - started < 2


def test_a_file_that_takes_too_long_is_a_sentence_and_tried_again_later(platform: Platform, stack: Path) -> None:
    preview = platform.preview(stack, timeout_seconds=0.01)
    assert (preview.form, preview.lasting) == ("not shown", False)
    assert preview.sentence == "Showing the result file takes longer than a preview may."
    assert platform.preview(stack) == preview
    for folder in platform.cache.glob("*/*"):
        os.utime(folder, (0, 0))
    assert platform.preview(stack).form == "array"


@pytest.mark.thorough
def test_a_file_that_takes_more_memory_than_it_may_is_a_sentence(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "MEMORY_BYTES", 128 * sandbox.MIB)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16_000, 15_000), np.uint16), compression="zlib")
    preview = platform.preview(tmp_path / "a.tif")
    assert preview.sentence == "Showing the result file needs more memory than a preview may take."


def test_a_matrix_too_large_to_be_written_out_is_a_sentence(see: Callable[..., Seen]) -> None:
    def write(path: Path) -> None:
        scipy.io.savemat(path, {"x": scipy.sparse.csc_matrix((40_000, 40_000))})

    assert "x claims 25,600,000,000 bytes" in see("a.mat", write).preview.sentence


def test_a_file_that_may_not_be_read_is_a_sentence_and_tried_again_later(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("hello")
    path.chmod(0)
    preview = platform.preview(path)
    assert preview == NotShown(sentence="The server can't read the result file: Permission denied.", lasting=False)


def test_a_link_is_not_followed(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("/etc/passwd")
    with pytest.raises(NotFound):
        platform.preview(tmp_path / "a.txt")


@pytest.mark.thorough
def test_many_may_look_at_once(platform: Platform, stack: Path) -> None:
    with ThreadPoolExecutor(6) as threads:
        seen = list(threads.map(lambda number: platform.preview(stack, index=number % 3), range(6)))
        drawn = list(threads.map(lambda number: platform.picture(stack, index=number % 3), range(6)))
    assert seen[:3] == seen[3:]
    assert drawn[:3] == drawn[3:]
    assert [one.index for one in seen[:3]] == [0, 1, 2]


def run_inside(path: Path, program: str) -> Finished:
    """A program in the worker's place."""
    view = opening._view(path, ".npy", Selection())
    command = (view.command[0], "-S", "-c", program)
    inside = sandbox.View(command=command, mounts=view.mounts, variables=dict(view.variables), host_uid=view.host_uid)
    limits = sandbox.Limits(memory_bytes=opening.MEMORY_BYTES, processes=opening.PROCESSES)
    return sandbox.run(inside, limits=limits, timeout_seconds=60)


def test_a_worker_that_was_taken_over_reaches_nothing(stack: Path) -> None:
    (stack.parent / "secret.txt").write_text("secret")
    program = f"""
import os, socket
def works(action):
    try: action()
    except OSError: return 0
    return 1
print([
    works(lambda: socket.create_connection(("1.1.1.1", 53), 1)),
    works(lambda: open({str(stack.parent / "secret.txt")!r})),
    works(lambda: open("/result.npy", "ab")),
    works(lambda: open("/platform/neurocaas/errors.py", "ab")),
    works(lambda: open("/new", "wb")),
    works(lambda: os.setuid(0)),
    works(lambda: open("/result.npy", "rb")),
])
"""
    finished = run_inside(stack, program)
    assert json.loads(finished.stdout) == [0, 0, 0, 0, 0, 0, 1]


def finished(stdout: bytes, **changes: Any) -> Finished:
    whole: dict[str, Any] = {"exit_code": 0, "signal": None, "reason": Reason.NONE, "stderr": b"", "usage": Usage()}
    return Finished(stdout=stdout, **(whole | changes))


def answered(preview: Any, block: Any = None, numbers: bytes = b"") -> Finished:
    return finished(json.dumps({"preview": preview, "block": block}).encode() + b"\n" + numbers)


def test_an_honest_answer_is_taken() -> None:
    assert read_answer(answered(TEXT), ".txt").answer.preview == TextPreview(text="hello")


IMAGE = {"form": "image", "width": 2, "height": 2, "pixels": "grey", "browser_shows": False, "picture": True}
PIXELS = {"how": "pixels", "shape": [2, 2]}


@pytest.mark.parametrize(
    "hostile",
    [
        finished(b""),
        finished(b"[" * 100_000),
        finished(b"\xff\xfe\n"),
        finished(b'{"preview": null}\n'),
        answered({"form": "frame", "kind": "html"}),
        answered({"form": "no such form"}),
        answered(TEXT | {"more": 1}),
        answered(TEXT | {"text": "x" * (TEXT_CHARACTERS + 1)}),
        answered(TEXT | {"text": "\x1b[2J"}),
        answered(TEXT | {"note": "a\nb"}),
        answered(TEXT | {"page": -1}),
        answered(TEXT | {"page": 10**30}),
        answered(TEXT, numbers=b"more"),
        answered(TEXT, PIXELS, bytes(4)),
        answered(IMAGE),
        answered(IMAGE, PIXELS, bytes(3)),
        answered(IMAGE, PIXELS, bytes(5)),
        answered(IMAGE, PIXELS | {"shape": [0, 2]}),
        answered(IMAGE, PIXELS | {"shape": [LARGEST_SIDE + 1, 1]}, bytes(LARGEST_SIDE + 1)),
        answered(IMAGE, PIXELS | {"shape": [2, 2, 4]}, bytes(16)),
        answered(IMAGE, PIXELS | {"how": "heat map", "shape": [10**6, 10**6]}),
        answered(IMAGE | {"minimum": float("nan")}, PIXELS, bytes(4)),
        answered({"form": "array", "datasets": [], "chosen": {}, "how": "traces"}),
        finished(json.dumps({"preview": TEXT}).encode() + b"\n", exit_code=1),
        finished(json.dumps({"preview": TEXT}).encode() + b"\n", exit_code=None, signal=11),
        finished(json.dumps({"preview": TEXT}).encode() + b"\n", reason=Reason.OUT_OF_MEMORY),
        finished(b"", reason=Reason.SANDBOX_FAILED),
        finished(b"", reason=Reason.TOO_MANY_PROCESSES),
    ],
)
def test_an_answer_that_no_worker_gives_is_a_sentence(hostile: Finished) -> None:
    opened = read_answer(hostile, ".npy")
    assert isinstance(opened.answer.preview, NotShown)
    assert opened.answer.block is None


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_a_sentence(stdout: bytes) -> None:
    assert isinstance(read_answer(finished(stdout), ".npy").answer.preview, NotShown)


axes = st.builds(Axis, label=st.just("$x^2$ \\frac"), start=st.integers(0, 2**50 - 1), step=st.integers(1, 2**50 - 1))


@pytest.mark.thorough
@settings(max_examples=30)
@given(st.data(), st.sampled_from(["traces", "heat map", "image"]), axes, axes)
def test_any_numbers_can_be_drawn(data: st.DataObject, how: Any, across: Axis, down: Axis) -> None:
    shape = (data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12)))
    numbers = data.draw(st.lists(st.floats(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    block = Block(how=how, shape=shape, title="漢字 $\\alpha$ _" * 9, across=across, down=down)
    for theme in THEMES:
        assert draw(block, np.array(numbers, "<f8").tobytes(), theme).startswith(b"\x89PNG")


def test_a_missing_library_is_a_sentence_with_the_command_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"")
    program = (
        "import sys; sys.modules['h5py'] = None\n"
        "from neurocaas.server.viewers import worker\n"
        f"sys.argv = ['worker', '.h5', {str(tmp_path / 'a.h5')!r}, '{{}}']\n"
        "worker.main()"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    preview = read_answer(finished(said), ".h5").answer.preview
    assert preview == NotShown(
        sentence="Showing .h5 files needs the Python package h5py, which the server lacks.",
        remedy="Its operator can install it: pip install 'neurocaas[compare]'",
        lasting=False,
    )


def test_the_worker_starts_without_django_and_pydantic_and_the_page_without_the_libraries() -> None:
    program = (
        "import sys, neurocaas.server.viewers.{}\n"
        "print(sorted({{'django', 'pydantic', 'numpy', 'h5py', 'scipy', 'av', 'matplotlib'}} & sys.modules.keys()))"
    )
    for module, loaded in (("worker", "[]"), ("showing", "['pydantic']")):
        said = subprocess.run(
            [sys.executable, "-c", program.format(module)], capture_output=True, check=True, text=True
        )
        assert said.stdout.strip() == loaded
