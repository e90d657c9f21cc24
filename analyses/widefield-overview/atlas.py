"""The atlas that an overview hands on as atlas.json: one in wfield's format, or the schematic one that ships here.

wfield keeps an atlas in two files. dorsal_cortex_ccf_labels.json is a list of regions with `acronym`, `name`, `label`
and the outlines `left_x`, `left_y`, `right_x`, `right_y` in mm from bregma; dorsal_cortex_landmarks.json has
`landmarks` with `name`, `x` and `y`, in mm too. They come as a .zip of both, or as two files, or as the first alone:
then the landmarks are those that wfield's own file has.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from job import Failure

SCHEMATIC = Path(__file__).with_name("schematic.json")
WFIELD_LANDMARKS = {
    "name": ["OB_left", "OB_center", "OB_right", "RSP_base"],
    "x": [-1.95, 0, 1.95, 0],
    "y": [-3.45, -3.45, -3.45, 3.2],
}
NAMES = WFIELD_LANDMARKS["name"]
LARGEST_BYTES = 64 * 2**20  # of all that is in a .zip; wfield's two files have half a MB

Atlas = dict[str, Any]


def schematic_atlas() -> Atlas:
    atlas: Atlas = json.loads(SCHEMATIC.read_text(encoding="utf-8"))
    return atlas


def read_atlas(path: Path, landmarks_path: Path | None) -> Atlas:
    """path: a .zip of wfield's two files, or the one with the regions. Raises a Failure that names what is wrong."""
    found = _documents(path) + (_documents(landmarks_path) if landmarks_path else [])
    labels = [(name, one) for name, one in found if isinstance(one, list)]
    landmarks = [(name, one) for name, one in found if isinstance(one, dict) and "landmarks" in one]
    if not landmarks and path.suffix.lower() == ".json":
        landmarks = [("wfield's own landmarks", {"landmarks": WFIELD_LANDMARKS})]
    if len(labels) != 1 or len(landmarks) != 1:
        raise Failure(
            f"The atlas {path.name} holds {', '.join(name for name, _ in found) or 'no .json file'}; one list of "
            "regions (such as dorsal_cortex_ccf_labels.json) and one file with landmarks (such as "
            "dorsal_cortex_landmarks.json) are needed."
        )
    name, regions = labels[0]
    converted = [one for index, region in enumerate(regions) for one in _both_sides(name, index, region)]
    if not converted:
        raise Failure(f"{name} in the atlas {path.name} lists no region.")
    return {
        "name": name.removesuffix(".json"),
        "schematic": False,
        "units": "mm",
        "landmarks": _landmarks(*landmarks[0]),
        "regions": converted,
    }


def _documents(path: Path) -> list[tuple[str, Any]]:
    """(file name, content) of a .json file, or of all in a .zip, wherever they lie in it."""
    if path.suffix.lower() == ".json":
        return [(path.name, _parsed(path.name, path.read_bytes()))]
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if one.filename.endswith(".json")]
            if sum(one.file_size for one in members) > LARGEST_BYTES:
                raise Failure(f"The .json files in {path.name} are larger than 64 MiB; wfield's have half a MB.")
            named = [(Path(one.filename).name, archive.read(one)) for one in members if "__MACOSX" not in one.filename]
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:  # the last: it has a password
        raise Failure(f"The atlas {path.name} is no .zip file that can be read: {error}.") from error
    return [(name, _parsed(name, content)) for name, content in named]


def _parsed(name: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{name} in the atlas is no JSON: {error}.") from error


def _both_sides(file: str, index: int, region: Any) -> list[dict[str, Any]]:
    if not isinstance(region, dict) or not isinstance(region.get("acronym"), str):
        raise Failure(f"Region {index + 1} in {file} has no acronym; wfield's format has one.")
    acronym, region_name = region["acronym"], str(region.get("name", region["acronym"]))
    if not (acronym + region_name).isprintable():
        raise Failure(
            f"Region {index + 1} in {file} is called {ascii([acronym, region_name])[:80]}, which cannot be printed; "
            "letters are right."
        )
    try:
        label = int(np.int32(region.get("label", index + 1)))
    except (TypeError, ValueError, OverflowError):
        said = repr(region["label"])[:40]
        raise Failure(
            f"The region {acronym} in {file} has the label {said}; a whole number of 32 bits is needed."
        ) from None
    sides = []
    for side in ("left", "right"):
        x, y = (_coordinates(file, acronym, f"{side}_{axis}", region) for axis in "xy")
        if len(x) != len(y) or len(x) < 3:
            raise Failure(
                f"The region {acronym} in {file} has {len(x)} x and {len(y)} y on its {side}; as many, 3 or more."
            )
        if (x[0], y[0]) != (x[-1], y[-1]):
            x, y = [*x, x[0]], [*y, y[0]]
        described = {"acronym": acronym, "name": region_name, "label": label}
        sides.append({**described, "side": side, "x": x, "y": y})
    return sides


def _coordinates(file: str, acronym: str, key: str, region: dict[str, Any]) -> list[float]:
    try:
        values = np.asarray(region[key], dtype=float)
    except (KeyError, TypeError, ValueError, OverflowError):
        values = np.full((0, 0), np.nan)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise Failure(f"The region {acronym} in {file} needs {key}, a list of numbers in mm from bregma.")
    coordinates: list[float] = values.tolist()
    return coordinates


def _landmarks(file: str, document: dict[str, Any]) -> list[dict[str, Any]]:
    """The four that wfield names, in their order."""
    given = document["landmarks"]
    try:
        rows = {str(n): (float(x), float(y)) for n, x, y in zip(given["name"], given["x"], given["y"], strict=True)}
    except (KeyError, TypeError, ValueError, OverflowError):
        rows = {}
    if not rows or not np.isfinite(list(rows.values())).all():
        raise Failure(f"The landmarks in {file} need name, x and y, three lists of one length, positions in mm.")
    missing = [name for name in NAMES if name not in rows]
    if missing:
        raise Failure(f"The landmarks in {file} lack {', '.join(missing)}; {', '.join(NAMES)} are needed.")
    return [{"name": name, "x": rows[name][0], "y": rows[name][1]} for name in NAMES]
