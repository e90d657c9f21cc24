"""The three workflows one after the other, as the blueprint chains them, beside wfield on one planted recording."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from neurocaas.blueprint import Family, read_version
from support.workflows import Array, Outcome, Workflow

ANALYSES = Path(__file__).resolve().parent.parent
STEPS = {"motion": "widefield-motion", "pmd": "pmd", "hemodynamics": "widefield-hemodynamics"}
RATE_HZ = 30.0


def _family() -> Family:
    children = {step: Family(version=read_version(ANALYSES / name)) for step, name in STEPS.items()}
    return Family(version=read_version(ANALYSES / "widefield-preprocess"), children=children)


def _correlations(movie: Array, truth: Array) -> Array:
    """Pixel by pixel, over time: (pixels, times) each."""
    a, b = (one - one.mean(axis=1, keepdims=True) for one in (movie, truth))
    return np.asarray((a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)))


def _planted(folder: Path) -> tuple[Array, Array]:
    """The active pixels (height, width) and their activity (pixels, times), high-passed as the corrected movies are."""
    from scipy import signal

    with np.load(folder / "truth.npz") as truth:
        maps, courses = truth["maps"], truth["courses"].astype(float)
    b, a = signal.butter(2, 0.1 / (RATE_HZ / 2), btype="highpass")
    active = maps.max(axis=0) > 0.5
    return active, maps[:, active].T @ signal.filtfilt(b, a, courses.T, axis=1, padlen=50)


def test_the_planted_activity_comes_out_no_worse_than_with_wfield(
    tmp_path: Path, python_of: Callable[[str], Path], record_property: Callable[[str, object], None]
) -> None:
    sample = tmp_path / "sample"
    motion_python = python_of("widefield-motion")
    generator = [motion_python, "-B", ANALYSES / "widefield-motion/sample/generate.py", sample, "--size", 80, 96, 900]
    subprocess.run([str(one) for one in generator], check=True)
    (recording,) = sample.glob("*.dat")
    active, planted = _planted(sample)

    family = _family()
    config = family.complete({})
    seconds = {}
    inputs = {"recording": recording}
    for step, name in STEPS.items():
        workflow = Workflow(python_of(name), ANALYSES / name, tmp_path / name, Outcome)
        outcome = workflow.run(inputs, family.config_of(step, config), cores=2)
        seconds[step] = outcome.seconds
        following = {"motion": "pmd", "pmd": "hemodynamics"}.get(step)
        outputs = family.children[step].version.blueprint.outputs
        if following:
            wires = family.wires[following]
            inputs = {key: outcome.path(outputs[wire.name].pattern) for key, wire in wires.items()}
    maps, courses = (outcome.load(name) for name in ("U.npy", "SVTcorr.npy"))

    peer = tmp_path / "peer"
    peer.mkdir()
    script = ANALYSES / "widefield-motion" / "peer_wfield.py"
    command = [str(motion_python), "-B", str(script), str(recording), str(peer), str(RATE_HZ)]
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    peer_maps, peer_courses = (np.load(peer / name) for name in ("U.npy", "SVTcorr.npy"))
    # Only where both have a result: wfield's has a mask, and its last frame is always zero.
    seen = peer_maps.any(axis=2)[active]
    ours = _correlations(maps[active][seen] @ courses, planted[seen])
    theirs = _correlations((peer_maps[active][seen] @ peer_courses)[:, :-1], planted[seen, :-1])
    peer_seconds = json.loads((peer / "seconds.json").read_text())

    for name, value in {
        "median correlation with the planted activity": np.median(ours),
        "tenth percentile": np.percentile(ours, 10),
        "wfield: median correlation": np.median(theirs),
        "wfield: tenth percentile": np.percentile(theirs, 10),
        **{f"seconds, {step}": one for step, one in seconds.items()},
        **{f"wfield: seconds, {step}": one for step, one in peer_seconds.items()},
    }.items():
        record_property(name, round(float(value), 4))
        print(f"{name}: {value:.4f}")
    assert np.median(ours) >= 0.95
    assert np.median(ours) >= np.median(theirs)


def test_it_is_pinned_to_the_analyses_as_they_are() -> None:
    """After an edit of one of them: make pins."""
    family = _family()
    for step, pin in family.version.blueprint.pins.items():
        assert pin == f"{STEPS[step]}@{family.children[step].version.digest}"
    family.check()
