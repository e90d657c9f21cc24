"""Atlases and components that locanmf can't use are refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from support.refusals import Case, said_of

HERE = Path(__file__).parent
MARKS = [{"name": "front", "x": 4, "y": 2}, {"name": "back", "x": 34, "y": 28}]


def atlas() -> dict[str, Any]:
    square = {"y": [-1, -1, 3, 3], "acronym": "A", "name": "Area", "label": 1}
    left, right = square | {"side": "left", "x": [-2, 0, 0, -2]}, square | {"side": "right", "x": [0, 2, 2, 0]}
    marks = [{"name": "front", "x": -2, "y": -1}, {"name": "back", "x": 2, "y": 3}]
    return {"name": "squares", "schematic": True, "units": "mm", "landmarks": marks, "regions": [left, right]}


def test_what_cannot_be_placed_or_split_is_refused_in_one_sentence(analysis_python: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.save(tmp_path / "U.npy", random.random((30, 40, 3)).astype(np.float32))
    np.save(tmp_path / "V.npy", random.standard_normal((3, 60)).astype(np.float32))
    np.save(tmp_path / "large.npy", random.standard_normal((3, 60)) * 1e160)

    def given(name: str, spoil: Callable[[dict[str, Any]], None], temporal: str = "V.npy", **config: Any) -> Case:
        document = atlas()
        spoil(document)
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(document))
        return Case(
            inputs={"spatial": tmp_path / "U.npy", "temporal": tmp_path / temporal, "atlas": path}, config=config
        )

    def region(**values: Any) -> Callable[[dict[str, Any]], None]:
        return lambda document: document["regions"][0].update(values)

    def mark(**values: Any) -> Callable[[dict[str, Any]], None]:
        return lambda document: [one.update(values) for one in document["landmarks"]]

    def line(document: dict[str, Any]) -> None:
        for one in document["regions"]:
            one["x"] = [1, 1, 1, 1]

    far = [MARKS[0], MARKS[1] | {"x": 1.7e308}]
    cases = {
        "label": given("label", region(label=10**12)),
        "endless": given("endless", region(label=float("inf"))),
        "nested": given("nested", region(x=[[-2], [0], [0], [-2]])),
        "digits": given("digits", region(x=[10**400, 0, 0, -2])),
        "line": given("line", line),
        "zero": given("zero", region(acronym="A\0B")),
        "half": given("half", lambda document: document.update(name="\ud800")),
        "nowhere": given("nowhere", mark(x=float("nan")), landmarks=MARKS),
        "together": given("together", mark(x=0, y=0), landmarks=MARKS),
        "far": given("far", lambda _: None, landmarks=far),
        "large": given("large", lambda _: None, temporal="large.npy"),
        "deep": given("deep", lambda _: None),
    }
    (tmp_path / "deep.json").write_text("[" * 100_000)
    said = said_of(analysis_python, HERE, cases, tmp_path)
    assert said["label"] == ("label.json: region A left: label: found 1000000000000; at most 2147483647 is right.")
    assert said["endless"].startswith("endless.json is no atlas that can be read")
    assert said["nested"].startswith("nested.json: region A left: its outline holds a value that is no finite number")
    assert said["digits"].startswith("digits.json is no atlas that can be read")
    assert said["line"].startswith("The atlas squares has no area")
    assert said["zero"] == "zero.json holds the name 'A\\x00B', which cannot be printed; letters are right."
    assert said["half"] == "half.json holds the name '\\ud800', which cannot be printed; letters are right."
    assert said["nowhere"].startswith("The atlas squares has its landmarks front, back all in one place, or nowhere")
    assert said["together"].startswith("The atlas squares has its landmarks front, back all in one place, or nowhere")
    assert said["far"].startswith("landmarks: a position is no number up to 1,000,000")
    assert said["large"].startswith("large.npy holds a value that is no finite number")
    assert said["deep"] == "deep.json is not a JSON file that can be read."
