"""locanmf on planted regional maps: what is found, what the objective does, and what changes nothing."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from .testing import (
    DEFAULTS,
    Figures,
    LocaNmf,
    Outcome,
    Sample,
    generate,
    matched,
    write_sample,
)


@pytest.mark.parametrize("seed", [generate.SEED, 1, 2])
def test_each_planted_component_is_found_in_its_region(
    locanmf: LocaNmf, tmp_path: Path, seed: int, record_property: Figures
) -> None:
    sample = write_sample(tmp_path / "sample", seed)
    outcome = locanmf(sample.inputs, **sample.config)
    similar, together = matched(sample, outcome)
    summary = outcome.summary
    figures = (
        f"planted {seed}: {len(sample.A)} components in 16 regions, found {summary['components']}; correlation of maps "
        f"{similar.min():.4f} to {similar.max():.4f}, of time courses {together.min():.4f} to {together.max():.4f}; "
        f"localization at least {summary['smallest_localization']:.1f} % (80 asked); R² {summary['r2']:.4f}"
    )
    record_property("figures", figures)
    print(figures)
    assert similar.min() >= 0.9
    assert together.min() >= 0.95
    assert summary["smallest_localization"] >= 80
    assert summary["components"] == len(sample.A)


def test_the_objective_never_increases_while_the_penalties_stay(found: Outcome, record_property: Figures) -> None:
    rows = found.rows("objective.csv")
    rises = [
        float(later["relative"]) - float(earlier["relative"])
        for earlier, later in pairwise(rows)
        if (earlier["round"], earlier["step"]) == (later["round"], later["step"])
    ]
    phases = {(row["round"], row["step"]) for row in rows}
    figures = f"objective: {len(rises)} sweeps in {len(phases)} phases, largest change {max(rises):.1e} of the energy"
    record_property("figures", figures)
    print(figures)
    assert len(phases) > 2
    assert max(rises) <= 1e-13  # rounding
    # Between phases it may rise: a penalty was raised, or all began again with more components.


def test_the_objective_is_that_of_the_delivered_files(sample: Sample, found: Outcome) -> None:
    """||UV - AC||^2 + sum_k lambda_k <d_k, a_k>, computed here from pixels and frames."""
    with np.load(found.results / "locanmf.npz") as archive:
        A, C, brain, atlas, label, penalty = (archive[name] for name in ("A", "C", "brain", "atlas", "label", "lambda"))
    movie = np.load(sample.inputs["spatial"])[brain].astype(float) @ np.load(sample.inputs["temporal"]).astype(float)
    maps = A[brain].astype(float)
    pixels = np.argwhere(brain)
    distances = []
    for one in label:
        own = np.argwhere(brain & (atlas == one))
        distances.append(np.sqrt(((pixels[:, None] - own[None]) ** 2).sum(axis=2).min(axis=1)))
    objective = ((movie - maps @ C) ** 2).sum() + (penalty * (np.stack(distances, axis=1) * maps).sum(axis=0)).sum()
    assert objective == pytest.approx(float(found.rows("objective.csv")[-1]["objective"]), rel=1e-5)
    residual = ((movie - maps @ C) ** 2).sum()
    assert 1 - residual / ((movie - movie.mean(axis=1, keepdims=True)) ** 2).sum() == pytest.approx(
        found.summary["r2"], abs=1e-5
    )


@pytest.mark.parametrize("loc_thresh", [95, 99])
def test_components_are_as_localized_as_asked(
    locanmf: LocaNmf, sample: Sample, loc_thresh: float, record_property: Figures
) -> None:
    outcome = locanmf(sample.inputs, **sample.config | {"loc_thresh": loc_thresh})
    brain = outcome.archive["brain"]
    squares = outcome.maps**2 * brain
    own = outcome.archive["atlas"][None] == outcome.archive["label"][:, None, None]
    inside = 100 * (squares * own).sum(axis=(1, 2)) / squares.sum(axis=(1, 2))
    told = [float(row["localization_percent"]) for row in outcome.rows("regions.csv")]
    raised = max(float(row["lambda_relative"]) for row in outcome.rows("regions.csv")) / DEFAULTS["lambda_init"]
    np.testing.assert_allclose(inside, told, rtol=1e-4)
    figures = (
        f"localization {inside.min():.2f} % to {inside.max():.2f} % where {loc_thresh} % are asked; "
        f"penalties raised up to {raised:.1f} times; R² {outcome.summary['r2']:.4f}"
    )
    record_property("figures", figures)
    print(figures)
    assert inside.min() >= loc_thresh
    assert outcome.summary["not_localized"] == []
    assert matched(sample, outcome)[0].min() >= 0.9


def test_what_cannot_be_localized_is_named(locanmf: LocaNmf, sample: Sample) -> None:
    outcome = locanmf(sample.inputs, **sample.config | {"loc_thresh": 100, "maxiter_lambda": 2, "max_rank": 2})
    assert outcome.summary["not_localized"]
    assert "not localized" in outcome.output


def test_left_and_right_are_kept_apart(found: Outcome) -> None:
    brain = found.archive["brain"]
    by_side = {side: sum(one[1] == side for one in found.names) for side in ("left", "right")}
    assert by_side == {"left": 11, "right": 11}
    column = np.argwhere(brain)[:, 1].mean()
    for (_, side), one in zip(found.names, found.maps, strict=True):
        centre = (one.sum(axis=0) * np.arange(one.shape[1])).sum() / one.sum()
        assert (centre < column) == (side == "left")


def test_nothing_is_outside_of_mask_and_atlas(sample: Sample, found: Outcome) -> None:
    mask = np.load(sample.inputs["mask"])
    archive = found.archive
    assert not archive["brain"][~mask].any()
    assert not archive["brain"][archive["atlas"] == 0].any()
    assert not archive["A"][~archive["brain"]].any()
    assert found.maps.max(axis=(1, 2)) == pytest.approx(1)
    assert found.maps.min() == 0


def test_values_outside_the_mask_change_nothing(
    locanmf: LocaNmf, sample: Sample, found: Outcome, tmp_path: Path
) -> None:
    U = np.load(sample.inputs["spatial"])
    U[~np.load(sample.inputs["mask"])] = np.nan
    np.save(tmp_path / "U.npy", U)
    outcome = locanmf(sample.with_input(spatial=tmp_path / "U.npy"), **sample.config)
    np.testing.assert_array_equal(outcome.load("A.npy"), found.load("A.npy"))


def test_neither_seed_nor_cores_change_a_byte(
    locanmf: LocaNmf, sample: Sample, found: Outcome, record_property: Figures
) -> None:
    outcome = locanmf(sample.inputs, seed=12345, cores=1, **sample.config)
    for name in ("A.npy", "C.npy", "regions.csv", "objective.csv", "summary.json", "locanmf.npz", "explore/U.npy"):
        assert (outcome.results / name).read_bytes() == (found.results / name).read_bytes(), name
    record_property("figures", "seed 0 on 2 cores and seed 12345 on 1 core: the same bytes")


def test_the_same_movie_from_other_components_gives_the_same(
    locanmf: LocaNmf, sample: Sample, found: Outcome, tmp_path: Path, record_property: Figures
) -> None:
    """U M and M⁻¹ V are the same movie: which low-rank decomposition came first must not matter."""
    mixing = np.random.default_rng(3).normal(size=(26, 26))
    np.save(tmp_path / "U.npy", np.load(sample.inputs["spatial"]).astype(float) @ mixing)
    np.save(tmp_path / "V.npy", np.linalg.solve(mixing, np.load(sample.inputs["temporal"]).astype(float)))
    outcome = locanmf(sample.with_input(spatial=tmp_path / "U.npy", temporal=tmp_path / "V.npy"), **sample.config)
    difference = float(np.abs(outcome.load("A.npy") - found.load("A.npy")).max())
    record_property("figures", f"the same movie from mixed components: maps differ by at most {difference:.1e}")
    assert difference < 1e-4


@pytest.mark.parametrize(("scale", "repeats", "rate"), [(1e-3, 1, 15), (1, 3, 30)], ids=["scaled", "repeated"])
def test_units_of_signal_and_time_change_no_map(
    locanmf: LocaNmf, sample: Sample, found: Outcome, tmp_path: Path, scale: float, repeats: int, rate: int
) -> None:
    V = np.load(sample.inputs["temporal"]).astype(float)
    np.save(tmp_path / "V.npy", np.repeat(scale * V, repeats, axis=1))
    outcome = locanmf(sample.with_input(temporal=tmp_path / "V.npy"), **sample.config | {"sampling_rate_hz": rate})
    np.testing.assert_allclose(outcome.load("A.npy"), found.load("A.npy"), atol=1e-4)
    expected = np.repeat(scale * found.load("C.npy"), repeats, axis=1)
    np.testing.assert_allclose(outcome.load("C.npy"), expected, atol=1e-4 * np.abs(expected).max())
