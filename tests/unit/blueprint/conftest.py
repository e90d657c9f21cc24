from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BLUEPRINT: dict[str, Any] = {
    "name": "mean",
    "title": "Mean",
    "summary": "The mean of a matrix.",
    "environment": {"kind": "python", "python": "3.11", "lock": "requirements.lock"},
    "workflow": {"command": ["python", "/workflow/workflow.py"], "files": ["workflow.py"]},
    "inputs": {"matrix": {"title": "Matrix", "kinds": [".npy"]}},
    "parameters": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "components": {"type": "integer", "default": 10, "minimum": 1, "description": "How many."},
            "method": {"enum": ["fast", "exact"], "default": "fast", "description": "Which."},
            "window": {"type": "number", "default": 1.5, "exclusiveMinimum": 0, "unit": "s", "description": "Width."},
        },
    },
}


@pytest.fixture
def make_analysis(tmp_path: Path) -> Callable[..., Path]:
    """Write an analysis folder; keyword arguments replace top-level keys of a right blueprint."""

    def make(folder: Path = tmp_path / "analyses" / "mean", **changes: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        document = {key: value for key, value in (BLUEPRINT | changes).items() if value is not None}
        (folder / "blueprint.json").write_text(json.dumps(document))
        (folder / "requirements.lock").write_text("")
        (folder / "workflow.py").write_text("print(1)\n")
        return folder

    return make
