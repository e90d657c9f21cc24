"""An atlas of the dorsal cortex: read, placed on the image by landmarks, and drawn as a label image.

Two kinds of file are read. `atlas.json` holds closed polygons and landmarks in millimetres from bregma, x to the right
and y towards posterior, one region for each hemisphere. `dorsal_cortex_ccf_labels.json` of the `wfield` package holds
such polygons as left_x, left_y, right_x, right_y; its landmarks are a file of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from job import Failure
from matplotlib.path import Path as Polygon
from placement import Placement, nearest_similarity

Array = np.ndarray[Any, Any]

# Where wfield's dorsal_cortex_landmarks.json puts them, for a labels file that comes without it.
WFIELD_LANDMARKS = {"OB_left": -1.95 - 3.45j, "OB_center": -3.45j, "OB_right": 1.95 - 3.45j, "RSP_base": 3.2j}
LARGEST_LABEL = 2**31 - 1  # a label image holds them in 32 bits, negative on the right
FARTHEST = 1e6  # pixels from the first one, of a landmark in the image
FILL = 0.9  # of the image's height or width, for an atlas without landmarks


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """One area of one hemisphere. outline: (N,) complex numbers, x + iy."""

    acronym: str
    name: str
    side: str  # "left" or "right"
    label: int
    outline: Array

    @property
    def title(self) -> str:
        return f"{self.acronym} {self.side}"


@dataclass(frozen=True, kw_only=True)
class Atlas:
    """Regions and landmarks in millimetres from bregma."""

    name: str
    schematic: bool
    regions: tuple[Region, ...]
    landmarks: Mapping[str, complex]


def read_atlas(path: Path, landmarks_path: Path | None) -> Atlas:
    document = _json(path)
    try:
        if isinstance(document, list):
            atlas = _from_wfield(document, path)
        elif isinstance(document, dict) and "regions" in document:
            atlas = _from_document(document, path)
        elif isinstance(document, dict) and "landmarks" in document:
            raise Failure(
                f"{path.name} holds landmarks but no regions; the atlas must be atlas.json or wfield's "
                "dorsal_cortex_ccf_labels.json, and this file belongs to the input atlas_landmarks."
            )
        else:
            raise Failure(
                f"{path.name} is no atlas: a list of regions as in wfield's dorsal_cortex_ccf_labels.json, or an "
                'object with "regions" as in atlas.json, is right.'
            )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Failure(f"{path.name} is no atlas that can be read: {_fault(error)}.") from error
    if not atlas.regions:
        raise Failure(f"{path.name} holds no region; at least one is needed.")
    if landmarks_path is None:
        return atlas
    return Atlas(
        name=atlas.name, schematic=atlas.schematic, regions=atlas.regions, landmarks=_wfield_landmarks(landmarks_path)
    )


def place_by_landmarks(atlas: Atlas, landmarks: Sequence[Mapping[str, Any]]) -> Placement:
    """landmarks: name, x and y of each, in pixels of the image."""
    _check_landmarks(atlas, landmarks)
    source = np.array([atlas.landmarks[str(one["name"])] for one in landmarks])
    if not np.isfinite(source).all() or not np.ptp(source.real) + np.ptp(source.imag) > 0:
        raise Failure(
            f"The atlas {atlas.name} has its landmarks {', '.join(str(one['name']) for one in landmarks)} all in one "
            "place, or nowhere; positions that are apart, in millimetres, are needed."
        )
    target = np.array([complex(one["x"], one["y"]) for one in landmarks])
    return nearest_similarity(source, target)


def place_in_centre(atlas: Atlas, height: int, width: int) -> Placement:
    """The atlas as it is, its bounding box in the middle of the image and as large as 90 % of it."""
    points = np.concatenate([region.outline for region in atlas.regions])
    low = complex(points.real.min(), points.imag.min())
    high = complex(points.real.max(), points.imag.max())
    size = high - low
    if not size.real or not size.imag:
        raise Failure(f"The atlas {atlas.name} has no area: all its outlines are on one line; polygons are needed.")
    scale = FILL * min((width - 1) / size.real, (height - 1) / size.imag)
    return Placement(turn=complex(scale), shift=complex(width - 1, height - 1) / 2 - scale * (low + high) / 2)


def label_image(regions: Sequence[Region], height: int, width: int) -> Array:
    """(H, W) int: 1 + index of the region whose outline (in pixels) holds the pixel's centre, 0 outside.

    Where outlines overlap the region named first has the pixel.
    """
    labels = np.zeros((height, width), np.int32)
    for index, region in reversed(list(enumerate(regions))):
        x, y = region.outline.real, region.outline.imag
        left, top = max(int(np.floor(x.min())), 0), max(int(np.floor(y.min())), 0)
        right, bottom = min(int(np.ceil(x.max())) + 1, width), min(int(np.ceil(y.max())) + 1, height)
        if left >= right or top >= bottom:
            continue
        rows, columns = np.mgrid[top:bottom, left:right]
        polygon = Polygon(np.column_stack([x, y]))
        inside = polygon.contains_points(np.column_stack([columns.ravel(), rows.ravel()])).reshape(rows.shape)
        labels[top:bottom, left:right][inside] = index + 1
    return labels


def placed(atlas: Atlas, placement: Placement) -> tuple[Region, ...]:
    """The regions with their outlines in pixels of the image."""
    return tuple(
        Region(acronym=one.acronym, name=one.name, side=one.side, label=one.label, outline=placement(one.outline))
        for one in atlas.regions
    )


def _from_document(document: dict[str, Any], path: Path) -> Atlas:
    if document.get("units", "mm") != "mm":
        raise Failure(f'{path.name}: units: found {document["units"]!r}; "mm" is right.')
    regions = []
    for one in document["regions"]:
        if one["side"] not in ("left", "right"):
            raise Failure(
                f'{path.name}: region {one["acronym"]}: side: found {one["side"]!r}; "left" or "right" is right.'
            )
        regions.append(_region(path, one, one["side"], one["x"], one["y"]))
    name = str(document.get("name", path.stem))
    _check_printable(path, name)
    return Atlas(
        name=name,
        schematic=bool(document.get("schematic", False)),
        regions=tuple(regions),
        landmarks={str(one["name"]): complex(one["x"], one["y"]) for one in document.get("landmarks", [])},
    )


def _from_wfield(document: list[dict[str, Any]], path: Path) -> Atlas:
    regions = [
        _region(path, one, side, one[f"{side}_x"], one[f"{side}_y"]) for side in ("left", "right") for one in document
    ]
    return Atlas(name=path.stem, schematic=False, regions=tuple(regions), landmarks=WFIELD_LANDMARKS)


def _region(path: Path, one: Mapping[str, Any], side: str, x: Sequence[float], y: Sequence[float]) -> Region:
    acronym = str(one["acronym"])
    if len(x) != len(y) or len(x) < 3:
        raise Failure(
            f"{path.name}: region {acronym} {side}: its outline has {len(x)} x and {len(y)} y values; "
            "as many of each, at least 3, are right."
        )
    outline = np.asarray(x, float) + 1j * np.asarray(y, float)
    if outline.ndim != 1 or not np.isfinite(outline).all():
        raise Failure(f"{path.name}: region {acronym} {side}: its outline holds a value that is no finite number.")
    label = int(one.get("label", 0))
    if abs(label) > LARGEST_LABEL:
        raise Failure(f"{path.name}: region {acronym} {side}: label: found {label}; at most {LARGEST_LABEL} is right.")
    name = str(one.get("name", acronym))
    _check_printable(path, acronym, name)
    return Region(acronym=acronym, name=name, side=side, label=label, outline=outline)


def _check_printable(path: Path, *texts: str) -> None:
    """Tables and NWB can't take what has no character, such as zero bytes, and would say so after hours."""
    for text in texts:
        if not text.isprintable():
            raise Failure(f"{path.name} holds the name {ascii(text)[:60]}, which cannot be printed; letters are right.")


def _wfield_landmarks(path: Path) -> dict[str, complex]:
    document = _json(path)
    try:
        points = document["landmarks"]
        return {str(n): complex(x, y) for n, x, y in zip(points["name"], points["x"], points["y"], strict=True)}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Failure(
            f'{path.name} holds no landmarks: "landmarks" with name, x and y, as in wfield\'s '
            "dorsal_cortex_landmarks.json, is right."
        ) from error


def _check_landmarks(atlas: Atlas, landmarks: Sequence[Mapping[str, Any]]) -> None:
    names = [str(one["name"]) for one in landmarks]
    for name in names:
        if name not in atlas.landmarks:
            known = ", ".join(atlas.landmarks) or "none"
            raise Failure(f"landmarks: the atlas {atlas.name} has no landmark {name}; it has: {known}.")
        if names.count(name) > 1:
            raise Failure(f"landmarks: {name} is given {names.count(name)} times; once is right.")
    if len(names) < 2:
        raise Failure(f"landmarks: found {len(names)}; at least 2 are needed to place the atlas, or none at all.")
    if not all(abs(one[axis]) <= FARTHEST for one in landmarks for axis in "xy"):
        raise Failure(f"landmarks: a position is no number up to {FARTHEST:,.0f}; pixels of the image are right.")
    points = np.array([complex(one["x"], one["y"]) for one in landmarks])
    if np.abs(points - points[0]).max() < 1:
        raise Failure("landmarks: all lie within one pixel; points that are apart are needed to place the atlas.")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path.name} is not a JSON file that can be read.") from error


def _fault(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
