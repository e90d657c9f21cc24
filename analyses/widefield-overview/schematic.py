"""Draws the schematic dorsal cortex, schematic.json: python schematic.py. Placed by hand and eye, traced from no file.

It shows where the areas seen from above lie with respect to each other and to bregma, roughly and symmetrically. Its
borders are nobody's measurement: for work that depends on them, give the analysis the atlas that your field uses.

The right half is a list of points, in mm from bregma (to the right, to the back), and each region is a walk along some
of them. Borders between points where regions meet are smoothed once, so that neighbours share them to the last digit.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

Point = tuple[float, float]

TITLE = "Schematic dorsal cortex of the mouse"
LANDMARKS = {"OB_left": (-1.95, -3.45), "OB_center": (0.0, -3.45), "OB_right": (1.95, -3.45), "RSP_base": (0.0, 3.2)}
SAMPLES = 6  # along a border, between two of its points

# fmt: off
POINTS: dict[str, Point] = {
    # midline, front to back
    "m1": (0, -3.45), "m2": (0, -2.5), "m3": (0, 0.65), "m4": (0, 1.15), "m5": (0, 3.2),
    # olfactory bulb and frontal pole
    "o1": (0, -4.7), "o2": (0.35, -5.05), "o3": (0.95, -5.1), "o4": (1.65, -4.75), "o5": (2.1, -4.1),
    "o6": (1.95, -3.45), "f1": (0.5, -3.65), "f2": (1.3, -3.68), "g1": (0.65, -3.35), "g2": (1.3, -3.38),
    "p1": (0.4, -2.95),
    # outline of the cortex, front to back
    "c1": (2.45, -3.2), "c2": (3.0, -2.7), "c3": (3.65, -1.85), "c4": (4.2, -1.05), "c5": (4.6, -0.25),
    "c6": (4.87, 0.6), "c7": (5.05, 1.45), "c8": (5.15, 2.2), "c9": (5.16, 2.8), "c10": (5.08, 3.4),
    "c11": (4.85, 4.1), "c12": (4.4, 4.65), "c13": (3.85, 4.92), "c14": (3.0, 5.0), "c15": (2.3, 4.9),
    "c16": (1.75, 4.75), "c17": (1.3, 4.55), "c18": (0.9, 4.25), "c19": (0.55, 3.85), "c20": (0.3, 3.55),
    # cingulate, motor
    "a1": (0.24, -1.9), "a2": (0.2, -0.6), "a3": (0.22, 0.65), "a4": (0.45, 0.65), "s1": (2.3, -2.0),
    "s2": (1.6, -1.25), "s3": (1.0, -0.4), "s4": (0.75, 0.65), "t1": (3.05, -1.25), "t2": (2.2, -0.5),
    "t3": (1.65, 0.1), "t4": (1.15, 0.65),
    # somatosensory
    "n1": (4.45, -0.15), "n2": (3.9, -0.45), "n3": (3.4, -0.4), "u1": (3.15, -0.65), "u2": (2.9, 0.15),
    "u3": (2.5, 1.1), "k1": (2.22, 0.0), "k2": (2.42, 0.5), "k3": (2.2, 1.02), "b1": (4.0, 0.5), "b2": (3.4, 0.25),
    "b3": (2.95, 0.7), "b4": (2.76, 1.25), "e1": (4.5, 0.7), "e2": (4.32, 1.6), "e3": (4.1, 2.42),
    "e4": (4.6, 1.75),
    # auditory, temporal
    "d1": (4.85, 2.0), "d2": (4.6, 2.7), "d3": (4.2, 2.75), "d4": (4.85, 3.45), "d5": (4.45, 3.18),
    "q1": (4.28, 3.2),
    # visual
    "v1": (2.8, 1.62), "v2": (1.25, 1.25), "w1": (3.3, 2.1), "w2": (3.82, 2.4), "x1": (2.82, 2.0), "x2": (2.7, 2.3),
    "x3": (2.45, 2.35), "y1": (1.38, 1.72), "y2": (1.46, 2.7), "y3": (1.35, 4.15), "z1": (3.2, 2.55),
    "z2": (3.55, 3.1), "z3": (3.66, 3.8), "q2": (4.08, 3.23), "q3": (4.05, 4.35), "q4": (3.58, 4.62),
    "q5": (4.28, 4.2), "h1": (4.3, 3.88),
    # retrosplenial
    "r1": (0.85, 1.3), "r2": (1.05, 2.4), "r3": (1.0, 3.4), "r4": (0.2, 1.8), "r5": (0.22, 2.8),
}

REGIONS: dict[str, tuple[str, str]] = {
    "MOB": ("Main olfactory bulb", "m1 o1 o2 o3 o4 o5 o6 f2 f1"),
    "FRP": ("Frontal pole", "m1 f1 f2 o6 g2 g1"),
    "PL": ("Prelimbic area", "m1 g1 p1 m2"),
    "ACAd": ("Anterior cingulate area, dorsal part", "m2 p1 a1 a2 a3 m3"),
    "MOs": ("Secondary motor area", "g1 g2 o6 c1 c2 s1 s2 s3 s4 a4 a3 a2 a1 p1"),
    "MOp": ("Primary motor area", "c2 c3 t1 t2 t3 t4 s4 s3 s2 s1"),
    "SSp-m": ("Primary somatosensory area, mouth", "c3 c4 n1 n2 n3 u1 t1"),
    "SSp-n": ("Primary somatosensory area, nose", "n1 e1 b1 b2 n3 n2"),
    "SSp-bfd": ("Primary somatosensory area, barrel field", "b2 b1 e1 e2 e3 w2 w1 v1 b4 b3"),
    "SSp-un": ("Primary somatosensory area, unassigned", "u1 n3 b2 b3 b4 u3 u2"),
    "SSp-ul": ("Primary somatosensory area, upper limb", "t1 u1 u2 u3 k3 k2 k1 t2"),
    "SSp-ll": ("Primary somatosensory area, lower limb", "t2 k1 k2 k3 t4 t3"),
    "SSp-tr": ("Primary somatosensory area, trunk", "t4 k3 u3 b4 v1 v2"),
    "SSs": ("Supplemental somatosensory area", "c4 c5 c6 c7 e4 e3 e2 e1 n1"),
    "AUDd": ("Dorsal auditory area", "e3 e4 c7 d1 d2 d3"),
    "AUDp": ("Primary auditory area", "c7 c8 c9 c10 d4 d2 d1"),
    "AUDpo": ("Posterior auditory area", "d3 d2 d4 d5 q1"),
    "TEa": ("Temporal association areas", "q1 d5 d4 c10 c11 h1"),
    "VISa": ("Anterior visual area", "v2 v1 x1 x2 x3 y1"),
    "VISam": ("Anteromedial visual area", "y1 x3 y2"),
    "VISpm": ("Posteromedial visual area", "y2 x3 y3"),
    "VISrl": ("Rostrolateral visual area", "v1 w1 w2 z2 z1 x2 x1"),
    "VISal": ("Anterolateral visual area", "w2 e3 d3 q1 q2 z2"),
    "VISl": ("Lateral visual area", "z2 q2 q3 q4 z3"),
    "VISli": ("Laterointermediate area", "q2 q1 h1 q5 q3"),
    "VISpor": ("Postrhinal area", "q3 q5 h1 c11 c12 c13"),
    "VISpl": ("Posterolateral visual area", "q4 q3 c13 c14"),
    "VISp": ("Primary visual area", "x3 x2 z1 z2 z3 q4 c14 c15 c16 y3"),
    "RSPagl": ("Retrosplenial area, lateral agranular part", "a4 s4 t4 v2 y1 y2 y3 c16 c17 c18 r3 r2 r1"),
    "RSPd": ("Retrosplenial area, dorsal part", "m3 a3 a4 r1 r2 r3 c18 c19 c20 r5 r4 m4"),
    "RSPv": ("Retrosplenial area, ventral part", "m4 r4 r5 c20 m5"),
}
# fmt: on


def main() -> None:
    atlas = {
        "name": TITLE,
        "schematic": True,
        "units": "mm",
        "landmarks": [{"name": name, "x": x, "y": y} for name, (x, y) in LANDMARKS.items()],
        "regions": [region for label, acronym in enumerate(REGIONS, 1) for region in _both_sides(label, acronym)],
    }
    text = json.dumps(atlas).replace('{"acronym"', '\n{"acronym"')
    Path(__file__).with_name("schematic.json").write_text(text + "\n", encoding="utf-8")


def _both_sides(label: int, acronym: str) -> list[dict[str, Any]]:
    name, walk = REGIONS[acronym]
    polygon = _smoothed(walk.split())
    described = {"acronym": acronym, "name": name, "label": label}
    return [
        described | {"side": side, "x": [sign * x + 0.0 for x, _ in polygon], "y": [y for _, y in polygon]}
        for side, sign in (("left", -1), ("right", 1))
    ]


def _smoothed(walk: list[str]) -> list[Point]:
    """The closed polygon of a region, its first point again at the end."""
    joints = _joints()
    first = next(index for index, point in enumerate(walk) if point in joints)
    around = [*walk[first:], *walk[:first], walk[first]]
    polygon: list[Point] = []
    border = [around[0]]
    for point in around[1:]:
        border.append(point)
        if point in joints:
            polygon += _curve(border)[:-1]
            border = [point]
    return [*polygon, polygon[0]]


def _joints() -> set[str]:
    """Where borders begin and end: where three lines meet, and on the midline, which stays straight."""
    neighbours: dict[str, set[str]] = defaultdict(set)
    for _, walk in REGIONS.values():
        around = walk.split()
        for one, next_one in zip(around, [*around[1:], around[0]], strict=True):
            neighbours[one].add(next_one)
            neighbours[next_one].add(one)
    return {point for point, others in neighbours.items() if len(others) > 2 or POINTS[point][0] == 0}


def _curve(border: list[str]) -> list[Point]:
    """A smooth line through a border's points (Catmull & Rom 1974), the same in whichever direction it is walked."""
    if border[0] > border[-1]:
        return _curve(border[::-1])[::-1]
    points = np.array([POINTS[name] for name in border], float)
    before, after = 2 * points[0] - points[1], 2 * points[-1] - points[-2]
    padded = np.vstack([before, points, after])
    line = []
    for a, b, c, d in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        t = np.arange(SAMPLES)[:, None] / SAMPLES
        line.append(b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return [(round(float(x), 3), round(float(y), 3)) for x, y in np.vstack([*line, points[-1]])]


if __name__ == "__main__":
    main()
