"""What is delivered: maps with maximum 1, time courses in the recording's units, and the files that hold them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from atlas import Atlas, Placement, Region
from explore import write_explore
from localization import Localized, Phase
from movie import Movie
from nwb import write_nwb
from scipy.io import savemat

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Result:
    """K components, by region and then by energy, largest first."""

    movie: Movie
    maps: Array  # (K, P), maximum 1
    courses: Array  # (K, T), in the recording's units
    region: Array  # (K,) index into regions
    penalty: Array  # (K,) lambda for these maps and time courses, in the recording's units squared per pixel
    relative_penalty: Array  # (K,) in the units of the parameter lambda_init
    localization: Array  # (K,) percent
    explained: Array  # (K,) variance of the component's own movie, relative to the recording's
    regions: tuple[Region, ...]  # those with components; outlines in pixels
    region_r2: Array
    region_components: Array
    r2: float
    phases: tuple[Phase, ...]
    energy: float
    outlines: tuple[Region, ...]  # all of the atlas
    labels: Array  # (H, W) 1 + index into outlines, 0 outside
    placement: Placement
    atlas: Atlas
    config: Mapping[str, Any]

    @property
    def count(self) -> int:
        return len(self.maps)

    @property
    def sampling_rate_hz(self) -> float:
        return float(self.config["sampling_rate_hz"])

    def image(self, component: int) -> Array:
        """(H, W) float32, 0 outside the brain."""
        image = np.zeros(self.movie.inside.shape, np.float32)
        image[self.movie.inside] = self.maps[component]
        return image

    def peak(self, component: int) -> tuple[int, int]:
        """x and y of the map's maximum."""
        row, column = np.argwhere(self.movie.inside)[int(self.maps[component].argmax())]
        return int(column), int(row)

    @classmethod
    def of(
        cls,
        *,
        movie: Movie,
        found: Localized,
        regions: tuple[Region, ...],
        outlines: tuple[Region, ...],
        labels: Array,
        placement: Placement,
        atlas: Atlas,
        config: Mapping[str, Any],
    ) -> Result:
        factors = found.factors
        energies = np.einsum("kp,kp->k", factors.maps, factors.maps)
        order = np.lexsort((-energies, factors.regions))
        peaks = factors.maps[order].max(axis=1)
        courses = peaks[:, None] * (factors.courses[order] @ movie.basis.T)
        maps = factors.maps[order] / peaks[:, None]
        variation = float(movie.variation().sum())
        # Rounding leaves a recording that never changes with a variation that is not quite zero.
        changes = variation > 1e-12 * movie.energy()
        squares = np.einsum("kt,kt->k", courses, courses) - movie.frames * courses.mean(axis=1) ** 2
        return cls(
            movie=movie,
            maps=maps,
            courses=courses,
            region=factors.regions[order],
            penalty=found.lambdas[order] * peaks,
            relative_penalty=found.lambdas[order] / np.sqrt(movie.energy() / movie.pixels),
            localization=found.localization[order],
            explained=np.einsum("kp,kp->k", maps, maps) * squares / (variation if changes else movie.energy()),
            regions=regions,
            region_r2=found.r2,
            region_components=np.bincount(factors.regions, minlength=len(regions)),
            r2=1 - float(found.residual.sum()) / (variation if changes else movie.energy()),
            phases=found.phases,
            energy=movie.energy(),
            outlines=outlines,
            labels=labels,
            placement=placement,
            atlas=atlas,
            config=config,
        )


def write(folder: Path, result: Result) -> None:
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
    write_nwb(folder / "locanmf.nwb", result)
    write_explore(folder / "explore", result)
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
