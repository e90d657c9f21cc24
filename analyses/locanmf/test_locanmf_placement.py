"""Where the atlas lies on the image: any similarity transform, mirrored images, atlases of two kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .testing import (
    REAL_ATLAS,
    Array,
    Figures,
    LocaNmf,
    Outcome,
    Sample,
    generate,
    placement,
)

COORDINATES = st.floats(-50, 50)
POINTS = st.lists(st.complex_numbers(max_magnitude=20, allow_nan=False), min_size=2, max_size=8).map(np.array)
APART = POINTS.filter(lambda points: bool(np.abs(points - points[0]).max() > 0.1))


@given(points=APART, scale=st.floats(0.1, 200), angle=st.floats(-3.1, 3.1), shift=st.complex_numbers(max_magnitude=500))
def test_any_similarity_transform_is_recovered(points: Array, scale: float, angle: float, shift: complex) -> None:
    turn = scale * np.exp(1j * angle)
    fitted = placement.nearest_similarity(points, turn * points + shift)
    assert not fitted.mirrored
    assert fitted.turn == pytest.approx(turn, rel=1e-6, abs=1e-6)
    np.testing.assert_allclose(fitted(points), turn * points + shift, atol=1e-6 * (1 + abs(shift) + scale))
    assert fitted.rms_px == pytest.approx(0, abs=1e-6 * (1 + abs(shift) + scale))


@given(points=APART, noise=st.lists(st.complex_numbers(max_magnitude=3), min_size=8, max_size=8), small=st.booleans())
def test_no_similarity_transform_near_the_fitted_one_is_nearer(
    points: Array, noise: list[complex], small: bool
) -> None:
    target = (3 - 2j) * points + np.array(noise)[: len(points)]
    fitted = placement.fit_similarity(points, target)
    step = 1e-3 if small else 0.1
    for turn, shift in ((1, 0), (-1, 0), (1j, 0), (-1j, 0), (0, 1), (0, -1), (0, 1j), (0, -1j)):
        moved = (fitted.turn + step * turn) * points + fitted.shift + step * shift
        assert np.sqrt(np.mean(np.abs(moved - target) ** 2)) >= fitted.rms_px - 1e-9


def test_a_mirrored_image_is_told_by_its_landmarks() -> None:
    points = np.array([complex(*place) for place in generate.LANDMARKS.values()])
    mirrored = placement.nearest_similarity(points, 9j * np.conj(points) + (40 + 30j))
    assert mirrored.mirrored
    assert mirrored.rms_px == pytest.approx(0, abs=1e-9)
    on_a_line = placement.nearest_similarity(points[:3], 9j * np.conj(points[:3]) + (40 + 30j))
    assert not on_a_line.mirrored


def test_a_mirrored_recording_gives_the_mirrored_result(
    locanmf: LocaNmf, sample: Sample, found: Outcome, tmp_path: Path
) -> None:
    np.save(tmp_path / "U.npy", np.load(sample.inputs["spatial"])[:, ::-1])
    np.save(tmp_path / "mask.npy", np.load(sample.inputs["mask"])[:, ::-1])
    marks = [one | {"x": 95 - one["x"]} for one in sample.config["landmarks"]]
    outcome = locanmf(
        sample.with_input(spatial=tmp_path / "U.npy", mask=tmp_path / "mask.npy"),
        **sample.config | {"landmarks": marks},
    )
    assert outcome.summary["atlas"]["mirrored"]
    assert outcome.names == found.names
    np.testing.assert_allclose(outcome.load("A.npy")[:, ::-1], found.load("A.npy"), atol=1e-3)


def test_without_landmarks_the_atlas_is_centred_and_that_is_said(locanmf: LocaNmf, sample: Sample) -> None:
    outcome = locanmf(sample.inputs, **sample.config | {"landmarks": [], "max_rank": 1})
    assert outcome.summary["atlas"]["placement"] == "centred"
    assert "it is not aligned" in outcome.output
    atlas = outcome.archive["atlas"]
    rows, columns = np.nonzero(atlas)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(39.5, abs=1)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(47.5, abs=1)


def test_regions_that_are_too_small_are_left_out_and_named(locanmf: LocaNmf, sample: Sample, found: Outcome) -> None:
    archive = found.archive
    sizes = {name: int((archive["atlas"][archive["brain"]] == name).sum()) for name in np.unique(archive["label"])}
    least = sorted(sizes.values())[2] + 1
    outcome = locanmf(sample.inputs, **sample.config | {"min_region_px": least, "max_rank": 1})
    small = {name for name, size in sizes.items() if size < least}
    left_out = outcome.summary["regions_left_out"]
    numbers = {"left": 1, "right": -1}
    named = {numbers[one["side"]] * int(one["region"][1:]): one["pixels"] for one in left_out["regions"]}
    assert named == {name: sizes[name] for name in small}
    assert left_out["reason"] == f"fewer than {least} pixels in the brain (min_region_px)"
    assert small.isdisjoint(outcome.archive["label"].tolist())
    about = json.loads(outcome.path("explore/explore.json").read_text())
    assert about["min_region_px"] == least
    assert [one["pixels"] for one in about["left_out"]] == [one["pixels"] for one in left_out["regions"]]
    first = left_out["regions"][0]
    assert f"(min_region_px): {first['region']} {first['side']} ({first['pixels']})" in outcome.output
    assert found.summary["regions_left_out"]["regions"] == []


def _as_wfield(atlas: dict[str, Any]) -> list[dict[str, Any]]:
    """The planted atlas in the form of wfield's dorsal_cortex_ccf_labels.json."""
    found: dict[str, dict[str, Any]] = {}
    for one in atlas["regions"]:
        entry = found.setdefault(one["acronym"], {key: one[key] for key in ("acronym", "name", "label")})
        entry |= {f"{one['side']}_x": one["x"], f"{one['side']}_y": one["y"]}
    return list(found.values())


def test_an_atlas_in_the_form_of_wfield_gives_the_same(
    locanmf: LocaNmf, sample: Sample, found: Outcome, tmp_path: Path
) -> None:
    labels, marks = tmp_path / "labels.json", tmp_path / "landmarks.json"
    labels.write_text(json.dumps(_as_wfield(json.loads(sample.inputs["atlas"].read_text()))))
    x, y = zip(*generate.LANDMARKS.values(), strict=True)
    marks.write_text(json.dumps({"landmarks": {"name": list(generate.LANDMARKS), "x": x, "y": y}}))
    outcome = locanmf(sample.with_input(atlas=labels, atlas_landmarks=marks), **sample.config)
    assert sorted(outcome.names) == sorted(found.names)
    # Regions come in another order here, and with them the updates.
    np.testing.assert_allclose(outcome.load("A.npy").sum(axis=2), found.load("A.npy").sum(axis=2), atol=0.02)


def test_the_allen_atlas_as_wfield_ships_it_is_read_and_placed(
    locanmf: LocaNmf, sample: Sample, record_property: Figures
) -> None:
    if not REAL_ATLAS.is_dir():
        record_property("figures", "stand-in: the planted atlas (set NEUROCAAS_REAL_DATA to use the Allen atlas)")
        return
    labels, marks = REAL_ATLAS / "dorsal_cortex_ccf_labels.json", REAL_ATLAS / "dorsal_cortex_landmarks.json"
    inputs = sample.with_input(atlas=labels, atlas_landmarks=marks)
    outcome = locanmf(inputs, **sample.config | {"max_rank": 1})
    known = {name for name, _ in outcome.names}
    assert {"MOp", "MOs", "VISp", "RSPd", "SSp-bfd"} <= known
    assert outcome.summary["smallest_localization"] >= 80
    record_property("figures", f"Allen atlas: {len(known)} areas with components, on a recording of other regions")
