"""Both workflows one after the other, as the blueprint chains them, on a movie whose oscillation is known."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neurocaas.blueprint import Family, read_version

ANALYSES = Path(__file__).resolve().parent.parent
RATE_HZ, FREQUENCY_HZ = 30.0, 1.7


def _family() -> Family:
    children = {name: Family(version=read_version(ANALYSES / name)) for name in ("pca", "kalman")}
    return Family(version=read_version(ANALYSES / "pca-kalman"), children=children)


def _movie(path: Path) -> None:
    """A pattern that swings at 1.7 Hz and another that follows a quarter of a period later, in white noise."""
    random = np.random.default_rng(5)
    phase = 2 * np.pi * FREQUENCY_HZ * np.arange(450) / RATE_HZ
    maps = random.normal(size=(2, 20, 24))
    movie = 100 + np.einsum("tk,kyx->tyx", np.stack([np.sin(phase), np.cos(phase)], axis=1), maps)
    np.save(path, (movie + random.normal(scale=0.5, size=movie.shape)).astype(np.float32))


def _run(python: Path, name: str, config: dict[str, Any], folder: Path, **inputs: Path) -> Path:
    results = folder / name
    results.mkdir()
    (folder / f"{name}.json").write_text(json.dumps(config))
    variables = {f"NEUROCAAS_INPUT_{key.upper()}": str(path) for key, path in inputs.items()}
    variables |= {"NEUROCAAS_CONFIG": str(folder / f"{name}.json"), "NEUROCAAS_RESULTS": str(results)}
    command = [str(python), str(ANALYSES / name / "workflow.py")]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return results


def test_the_frequency_of_a_movie_is_found_through_both_steps(tmp_path: Path, python_of: Callable[[str], Path]) -> None:
    family = _family()
    config = family.complete({"pca.components": 2, "kalman.state_dim": 2, "kalman.sampling_rate_hz": RATE_HZ})
    _movie(tmp_path / "movie.npy")
    first = _run(python_of("pca"), "pca", family.config_of("pca", config), tmp_path, recording=tmp_path / "movie.npy")
    wire = family.wires["kalman"]["observations"]
    output = family.children[wire.step].version.blueprint.outputs[wire.name]
    courses = first / output.pattern
    kalman = family.config_of("kalman", config)
    second = _run(python_of("kalman"), "kalman", kalman, tmp_path, observations=courses)
    summary = json.loads((second / "summary.json").read_text())
    found = [mode["frequency_hz"] for mode in summary["dynamics"]]
    print(f"planted {FREQUENCY_HZ} Hz, found {found}")
    assert all(abs(one - FREQUENCY_HZ) < 0.02 * FREQUENCY_HZ for one in found)


def test_it_is_pinned_to_the_analyses_as_they_are() -> None:
    """After an edit of pca or kalman: make pins."""
    family = _family()
    for name, pin in family.version.blueprint.pins.items():
        assert pin == f"{name}@{family.children[name].version.digest}"
    family.check()
