"""Atlases that would end in a traceback, or in an atlas.json that no page can read, are refused in one sentence."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from support.refusals import Case, said_of

HERE = Path(__file__).parent
SQUARE = {"left_x": [-1, 0, 0], "left_y": [0, 0, 1], "right_x": [1, 0, 0], "right_y": [0, 0, 1]}
NAMES = ["OB_left", "OB_center", "OB_right", "RSP_base"]


def test_an_atlas_that_cannot_be_used_is_refused_in_one_sentence(analysis_python: Path, tmp_path: Path) -> None:
    recording = tmp_path / "mouse_2_16_16_uint16.dat"
    recording.write_bytes(np.ones((3, 2, 16, 16), "<u2").tobytes())

    def given(name: str, text: str, landmarks: dict[str, Any] | None = None) -> Case:
        (tmp_path / name).write_text(text)
        inputs = {"recording": recording, "atlas": tmp_path / name}
        if landmarks is not None:
            inputs["atlas_landmarks"] = tmp_path / f"landmarks-of-{name}"
            inputs["atlas_landmarks"].write_text(json.dumps({"landmarks": landmarks}))
        return Case(inputs=inputs)

    def region(**values: Any) -> str:
        return json.dumps([{"acronym": "A", "label": 1, **SQUARE, **values}])

    nowhere = {"name": NAMES, "x": [float("nan"), 0, 1, 0], "y": [0, 0, 0, 3]}
    cases = {
        "endless": given("endless.json", region(label=float("inf"))),
        "label": given("label.json", region(label=10**12)),
        "digits": given("digits.json", region(left_x=[10**400, 0, 0])),
        "zero": given("zero.json", region(name="A\0B")),
        "deep": given("deep.json", "[" * 100_000),
        "nowhere": given("nowhere.json", region(), nowhere),
        "locked": given("locked.zip", ""),
        "spoilt": given("spoilt.zip", ""),
        "large": given("large.zip", ""),
    }
    spoil(tmp_path / "locked.zip", at=6, to=b"\x01")  # says that it has a password
    spoil(tmp_path / "spoilt.zip", at=60, to=b"\xff" * 20)  # in what was packed
    with zipfile.ZipFile(tmp_path / "large.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.json", b" " * (30 * 2**20))
    said = said_of(analysis_python, HERE, cases, tmp_path)
    assert said["endless"] == "The region A in endless.json has the label inf; a whole number of 32 bits is needed."
    assert said["label"].startswith("The region A in label.json has the label 1000000000000")
    assert said["digits"].startswith("The region A in digits.json needs left_x, a list of numbers in mm")
    assert said["zero"].startswith("Region 1 in zero.json is called ['A', 'A\\x00B'], which cannot be printed")
    assert said["deep"].startswith("deep.json in the atlas is no JSON")
    assert said["nowhere"].startswith("The landmarks in landmarks-of-nowhere.json need name, x and y")
    assert said["locked"].startswith("The atlas locked.zip is no .zip file that can be read")
    assert said["spoilt"].startswith("The atlas spoilt.zip is no .zip file that can be read")
    assert said["large"].startswith("The .json files in large.zip are larger than 64 MiB")


def spoil(path: Path, *, at: int, to: bytes) -> None:
    """A .zip of one file, with bytes changed: at 6 the flag of a password, in the directory too."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.json", json.dumps(list(range(2000))))
    content = bytearray(path.read_bytes())
    content[at : at + len(to)] = to
    if at == 6:
        content[content.index(b"PK\x01\x02") + 8] = to[0]
    path.write_bytes(bytes(content))
