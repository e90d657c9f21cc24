"""What was found: maps with maximum 1 and time courses in the recording's units, in the order of delivery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from atlas import Atlas, Region
from localization import Localized, Phase
from movie import Movie
from placement import Placement

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

    @property
    def left_out(self) -> list[tuple[Region, int]]:
        """The regions without components, as too few of their pixels are in the brain, and how many those are."""
        sizes = np.bincount(self.labels[self.movie.inside], minlength=len(self.outlines) + 1)[1:]
        pairs = zip(self.outlines, sizes, strict=True)
        return [(region, int(size)) for region, size in pairs if size < self.config["min_region_px"]]

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
