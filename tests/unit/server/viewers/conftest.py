from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from neurocaas.server.viewers.drawing import draw
from neurocaas.server.viewers.kinds import viewer_for
from neurocaas.server.viewers.previews import Answer, Selection, Theme
from neurocaas.server.viewers.readers.said import Wanted
from neurocaas.server.viewers.showing import picture, preview
from neurocaas.server.viewers.worker import open_file

THEMES: tuple[Theme, ...] = ("light", "dark")


class Seen(NamedTuple):
    """What the worker said, accepted by those who do not trust it."""

    preview: Any
    answer: Answer
    numbers: bytes

    @property
    def block(self) -> Any:
        return self.answer.block

    def draw(self) -> list[bytes]:
        assert self.answer.block is not None
        return [draw(self.answer.block, self.numbers, theme) for theme in THEMES]


@pytest.fixture
def see(tmp_path: Path) -> Callable[..., Seen]:
    """Have a file written, and opened as the worker does it, in this process; `platform` is the real way."""

    def look(name: str, content: bytes | Callable[[Path], Any], **selection: Any) -> Seen:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content(path)
        said = open_file(path, viewer_for(name), Wanted(**selection))
        answer = Answer.model_validate_json(
            json.dumps(asdict(said) | {"numbers": None}, allow_nan=False).replace(', "numbers": null', "")
        )
        assert len(said.numbers) == (answer.block.size_bytes if answer.block else 0)
        return Seen(answer.preview, answer, said.numbers)

    return look


class Platform:
    """The real way: worker, sandbox, shelf."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def arguments(self, path: Path, selection: dict[str, Any]) -> dict[str, Any]:
        sha256 = hashlib.sha256(str(path).encode()).hexdigest()
        kind = viewer_for(path.name)
        return {"kind": kind, "cache": self.cache, "sha256": sha256, "selection": Selection(**selection)}

    def preview(self, path: Path, *, timeout_seconds: float = 60.0, **selection: Any) -> Any:
        return preview(path, timeout_seconds=timeout_seconds, **self.arguments(path, selection))

    def picture(self, path: Path, *, theme: Theme = "light", **selection: Any) -> bytes | None:
        return picture(path, theme=theme, timeout_seconds=60.0, **self.arguments(path, selection))


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path / "cache")
