from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def numbers(tmp_path: Path) -> Callable[..., list[str]]:
    """Write small .npy files and return their paths."""

    def write(count: int, folder: str = "data") -> list[str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        paths = [tmp_path / folder / f"recording-{index}.npy" for index in range(count)]
        for index, path in enumerate(paths):
            path.write_bytes(b"\x93NUMPY" + bytes([index]))
        return [str(path) for path in paths]

    return write


@pytest.fixture
def analysis(tmp_path: Path) -> Path:
    folder = tmp_path / "bundled" / "mean"
    folder.mkdir(parents=True)
    document = {
        "name": "mean",
        "title": "Mean",
        "summary": "The mean.",
        "environment": {"kind": "python", "python": "3.11", "lock": "requirements.lock"},
        "workflow": {"command": ["python", "/workflow/workflow.py"], "files": ["workflow.py"]},
        "inputs": {
            "matrix": {"title": "Matrix", "kinds": [".npy", ".csv", ".mp4"], "max_gib": "0.001"},
            "mask": {"title": "Mask", "kinds": [".npy"], "required": False},
        },
        "parameters": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"components": {"type": "integer", "default": 3, "minimum": 1, "description": "How many."}},
        },
        "limits": {"timeout_minutes": 60, "attempts": 3, "max_cost_dollars": "100"},
    }
    (folder / "blueprint.json").write_text(json.dumps(document))
    (folder / "requirements.lock").write_text("")
    (folder / "workflow.py").write_text("print(1)\n")
    return folder
