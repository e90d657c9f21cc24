"""What the bundled analyses have in common though they share no code, since a version of an analysis is its folder."""

from __future__ import annotations

from pathlib import Path

ANALYSES = Path(__file__).parents[3] / "analyses"
# kalman's differs on purpose: it shows the contract written out another way, with fields for its own inputs.
OTHERWISE = {"kalman"}


def test_job_py_is_the_same_in_every_folder_that_holds_it() -> None:
    """The contract's few lines are copied, so what is mended in one copy is mended in all."""
    copies = {path.parent.name: path.read_bytes() for path in ANALYSES.glob("*/job.py")}
    assert {"pca", "pmd", "locanmf", "widefield-motion"} <= copies.keys()
    different = {name for name, content in copies.items() if content != copies["pca"]}
    assert different == OTHERWISE


def test_the_overview_and_the_motion_correction_read_recordings_alike() -> None:
    motion, overview = (ANALYSES / name / "recording.py" for name in ("widefield-motion", "widefield-overview"))
    assert motion.read_bytes() == overview.read_bytes()
