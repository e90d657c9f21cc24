"""Localized semi-NMF of one widefield recording: the workflow that blueprint.json names.

Reads U and V of a denoised recording and an atlas, writes components with their regions. README.md tells how to run it
by hand.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from atlas import Atlas, Region, label_image, place_by_landmarks, place_in_centre, placed, read_atlas
from hals import Sweeps
from job import Failure, Job, progress, run
from localization import Search, localize
from movie import Movie, project, read_components, read_mask
from placement import Placement
from result import Result
from scipy.ndimage import distance_transform_edt
from threadpoolctl import threadpool_limits

Array = np.ndarray[Any, Any]
OF_SEARCH = tuple(Search.__dataclass_fields__)


def main(job: Job) -> None:
    from results import write  # NWB takes seconds to import, so only once there is something to write

    result = analyse(job)
    progress(0.8, "writing results")
    write(job.results, result)
    progress(0.95, "drawing figures")
    from figure import draw_components, draw_fit

    draw_components(job.results / "SummaryComponents.png", result)
    draw_fit(job.results / "fit.png", result)
    words = (
        f"{result.count} components in {len(result.regions)} regions, R² {result.r2:.3f}, "
        f"{result.localization.mean():.0f} % localized"
    )
    if small := len(result.left_out):
        words += f"; {small} region{'s' if small > 1 else ''} of fewer than {job.config['min_region_px']} px left out"
    _log(words)
    progress(1.0, words)


def analyse(job: Job) -> Result:
    search = Search(**{name: job.config[name] for name in OF_SEARCH})
    if search.min_rank > search.max_rank:
        raise Failure(f"min_rank is {search.min_rank} and max_rank {search.max_rank}; min_rank must not be the larger.")
    U, V = read_components(job.inputs["spatial"], job.inputs["temporal"])
    height, width, rank = U.shape
    atlas = read_atlas(job.inputs["atlas"], job.inputs.get("atlas_landmarks"))
    marks = job.config["landmarks"]
    placement = place_by_landmarks(atlas, marks) if marks else place_in_centre(atlas, height, width)
    _log(_words(placement))
    outlines = placed(atlas, placement)
    labels = label_image(outlines, height, width)
    inside = _inside(job, atlas, labels)
    progress(0.02, "projecting the recording")
    movie = project(U, V, inside, job.inputs["spatial"].name)
    chosen = _large_enough(movie, labels, outlines, int(job.config["min_region_px"]))
    distances = np.stack([_distance(movie, labels == index + 1) for index in chosen])
    _log(f"{height} x {width} pixels, {movie.pixels:,} in the brain; rank {rank}; {movie.frames:,} frames")
    _check_memory(job, movie, len(chosen) * search.min_rank, len(chosen))

    # The sweeps' own threads share the cores; those of the matrix library would come on top of each.
    cores = max(1, int(os.environ.get("NEUROCAAS_CORES", "1")))
    with threadpool_limits(1), ThreadPoolExecutor(cores) as pool:
        found = localize(Sweeps(movie, distances, pool), _members(movie, labels, chosen), search, _told)
    if not len(found.factors):
        raise Failure(
            "No component is left: no region's activity can be told from zero; look at the mask and the atlas."
        )
    result = Result.of(
        movie=movie,
        found=found,
        regions=tuple(outlines[index] for index in chosen),
        outlines=outlines,
        labels=labels,
        placement=placement,
        atlas=atlas,
        config=job.config,
    )
    _tell_what_is_not_localized(result, search)
    return result


def _inside(job: Job, atlas: Atlas, labels: Array) -> Array:
    """(H, W) bool: pixels in the atlas and in the mask, if there is one."""
    inside: Array = labels > 0
    if not inside.any():
        raise Failure(
            f"The atlas {atlas.name} lies outside of the image of {labels.shape[0]} x {labels.shape[1]} pixels; look "
            "at the landmarks, whose x runs along columns and y along rows, in pixels."
        )
    if "mask" in job.inputs:
        inside = inside & read_mask(job.inputs["mask"], *labels.shape)
        if not inside.any():
            raise Failure(f"No pixel is in both the atlas and {job.inputs['mask'].name}; look at the landmarks.")
    return inside


def _large_enough(movie: Movie, labels: Array, outlines: tuple[Region, ...], min_px: int) -> Array:
    """Indices, ascending, of the regions that get components."""
    sizes = np.bincount(labels[movie.inside] - 1, minlength=len(outlines))
    chosen = np.flatnonzero(sizes >= min_px)
    if not len(chosen):
        raise Failure(
            f"No region has {min_px} pixels in the brain (the largest has {sizes.max()}); look at the landmarks and "
            "the mask, or lower min_region_px."
        )
    pairs = zip(outlines, sizes, strict=True)
    small = [f"{region.title} ({size})" for region, size in pairs if size < min_px]
    if small:
        _log(
            f"regions without components, as fewer than {min_px} of their pixels are in the brain (min_region_px): "
            f"{', '.join(small)}"
        )
    return chosen


def _members(movie: Movie, labels: Array, chosen: Array) -> Array:
    """(P,) which of the chosen regions each pixel belongs to, -1 for none of them."""
    renumbered = np.full(labels.max() + 1, -1)
    renumbered[chosen + 1] = np.arange(len(chosen))
    members: Array = renumbered[labels[movie.inside]]
    return members


def _distance(movie: Movie, region: Array) -> Array:
    """(P,) distance of each pixel to the region's nearest pixel in the brain, in pixels."""
    distances: Array = distance_transform_edt(~(region & movie.inside))[movie.inside]
    return distances


def _check_memory(job: Job, movie: Movie, components: int, regions: int) -> None:
    """Refuse what cannot fit even with the fewest components, before hours are spent."""
    needed_mib = 8 * movie.pixels * (4 * len(movie.points) + 2 * components + regions) / 2**20 + 250
    if needed_mib > job.memory_mib:
        raise Failure(
            f"{movie.pixels:,} pixels at rank {len(movie.points)} in {regions} regions need about "
            f"{needed_mib:,.0f} MiB of memory and {job.memory_mib:,} are granted; a larger instance is needed."
        )


def _tell_what_is_not_localized(result: Result, search: Search) -> None:
    missed = np.flatnonzero(result.localization < search.loc_thresh)
    if len(missed):
        _log(
            f"not localized to {search.loc_thresh:g} % after {search.maxiter_lambda} steps: components "
            f"{', '.join(map(str, missed))}; more maxiter_lambda or a larger lambda_step may do it"
        )


def _words(placement: Placement) -> str:
    if placement.rms_px is None:
        return "no landmarks: the atlas is put in the middle of the image as it is, as large as fits; it is not aligned"
    mirrored = ", mirrored" if placement.mirrored else ""
    angle = np.rad2deg(np.angle(placement.turn))
    return (
        f"atlas placed by landmarks: {placement.pixels_per_mm:.2f} pixels per mm, {angle:.1f}° turned{mirrored}, "
        f"the landmarks fit within {placement.rms_px:.2f} pixels"
    )


def _told(fraction: float, message: str) -> None:
    progress(0.05 + 0.75 * fraction, message)
    _log(message)


def _log(line: str) -> None:
    """A line for who reads the log, at once: what is printed comes in blocks otherwise."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
