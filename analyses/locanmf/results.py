"""The files that are delivered."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from atlas import Region
from explore import write_explore
from result import Result
from scipy.io import savemat

Array = np.ndarray[Any, Any]


def write(folder: Path, result: Result) -> None:
    from nwb import write_nwb  # takes seconds to import

    write_arrays(folder, result)
    write_nwb(folder / "locanmf.nwb", result)
    write_explore(folder / "explore", result)


def write_arrays(folder: Path, result: Result) -> None:
    """Arrays for NumPy and MATLAB, the tables and the summary."""
    maps = np.stack([result.image(k) for k in range(result.count)], axis=2)
    courses = result.courses.astype(np.float32)
    np.save(folder / "A.npy", maps)
    np.save(folder / "C.npy", courses)
    _write_table(folder / "regions.csv", result)
    _write_objective(folder / "objective.csv", result)
    arrays = {
        "A": maps,
        "C": courses,
        "lambda": result.penalty,
        "lambda_relative": result.relative_penalty,
        "localization": result.localization,
        "explained_variance": result.explained,
        "region_r2": result.region_r2[result.region],
        "label": np.array([_signed(result.regions[index]) for index in result.region]),
        "brain": result.movie.inside,
        "atlas": _signed_labels(result),
    }
    names = [result.regions[index] for index in result.region]
    words = {"region": [one.acronym for one in names], "side": [one.side for one in names]}
    np.savez_compressed(folder / "locanmf.npz", **arrays, **{key: np.array(one) for key, one in words.items()})
    cells = {key: np.array(one, dtype=object)[:, None] for key, one in words.items()}  # MATLAB's cell arrays of text
    savemat(folder / "locanmf.mat", arrays | cells, do_compression=True, oned_as="column")
    (folder / "summary.json").write_text(json.dumps(_summary(result), indent=2) + "\n", encoding="utf-8")


def _signed(region: Region) -> int:
    """The atlas' label, negative on the right, as a label image needs one number for each side."""
    return region.label if region.side == "left" else -region.label


def _signed_labels(result: Result) -> Array:
    numbers = np.array([0, *(_signed(region) for region in result.outlines)], dtype=np.int32)
    signed: Array = numbers[result.labels]
    return signed


def _write_table(path: Path, result: Result) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        columns = "component region side name lambda lambda_relative localization_percent explained_variance region_r2"
        table.writerow([*columns.split(), "peak_x", "peak_y"])
        for k, index in enumerate(result.region):
            region = result.regions[index]
            numbers = (
                result.penalty[k],
                result.relative_penalty[k],
                result.localization[k],
                result.explained[k],
                result.region_r2[index],
            )
            words = [f"{number:.6g}" for number in numbers]
            table.writerow([k, region.acronym, region.side, region.name, *words, *result.peak(k)])


def _write_objective(path: Path, result: Result) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["sweep", "round", "step", "components", "objective", "relative"])
        sweep = 0
        for phase in result.phases:
            for value in phase.objective:
                sweep += 1
                row = (sweep, phase.round, phase.step, phase.components)
                table.writerow([*row, repr(value), repr(value / result.energy)])


def _summary(result: Result) -> dict[str, Any]:
    placement = result.placement
    threshold = float(result.config["loc_thresh"])
    return {
        "height": result.movie.inside.shape[0],
        "width": result.movie.inside.shape[1],
        "frames": result.movie.frames,
        "rank": len(result.movie.points),
        "brain_pixels": result.movie.pixels,
        "components": result.count,
        "r2": result.r2,
        "mean_localization": float(result.localization.mean()),
        "smallest_localization": float(result.localization.min()),
        "not_localized": [int(k) for k in np.flatnonzero(result.localization < threshold)],
        "regions": [
            {"region": one.acronym, "side": one.side, "components": int(count), "r2": float(r2)}
            for one, count, r2 in zip(result.regions, result.region_components, result.region_r2, strict=True)
        ],
        "regions_left_out": {
            "reason": f"fewer than {result.config['min_region_px']} pixels in the brain (min_region_px)",
            "regions": [{"region": one.acronym, "side": one.side, "pixels": pixels} for one, pixels in result.left_out],
        },
        "atlas": {
            "name": result.atlas.name,
            "schematic": result.atlas.schematic,
            "placement": "centred" if placement.rms_px is None else "landmarks",
            "pixels_per_mm": placement.pixels_per_mm,
            "rotation_degrees": float(np.rad2deg(np.angle(placement.turn))),
            "mirrored": placement.mirrored,
            "rms_px": placement.rms_px,
        },
        "search": {
            "rounds": result.phases[-1].round,
            "phases": len(result.phases),
            "sweeps": sum(len(phase.objective) for phase in result.phases),
        },
        "parameters": dict(result.config),
    }
