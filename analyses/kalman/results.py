"""Write what the analysis found: arrays, tables, a summary and a figure."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from job import Job
from model import Array, Model
from reading import Observations

if TYPE_CHECKING:
    from estimation import Smoothed


def write_results(
    job: Job,
    *,
    observations: Observations,
    model: Model,
    states: Smoothed,
    log_likelihood: Array,
    fitted: bool,
    diagonal: bool,
) -> None:
    """All that the blueprint declares. model: in the recording's units. log_likelihood: after 0, 1, … iterations."""
    from estimation import filled_gaps
    from figure import draw

    folder = job.results
    folder.mkdir(parents=True, exist_ok=True)
    predictions = filled_gaps(model, observations.values, states)

    def shaped(array: Any) -> Any:
        return np.asarray(array)[0] if observations.single else np.asarray(array)

    np.savez(
        folder / "states.npz",
        filtered_means=shaped(states.filtered_means),
        filtered_covariances=shaped(states.filtered_covariances),
        smoothed_means=shaped(states.means),
        smoothed_covariances=shaped(states.covariances),
    )
    np.savez(folder / "parameters.npz", **vars(model))
    np.savez(
        folder / "predictions.npz",
        **{name: shaped(array) for name, array in predictions.items()},
        observed=shaped(np.isfinite(observations.values)),
        channels=np.array(observations.channels),
    )
    with (folder / "log_likelihood.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["iteration", "log_likelihood"])
        writer.writerows((iteration, repr(float(value))) for iteration, value in enumerate(log_likelihood))
    rate = float(job.config["sampling_rate_hz"])
    _write_states(job, states, rate)
    summary = _summary(job, observations, model, predictions, log_likelihood, rate)
    summary |= {"fitted": fitted, "noise": "diagonal" if diagonal else "full"}
    summary["converged"] = len(log_likelihood) <= int(job.config["iterations"]) if fitted else None
    (folder / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    draw(
        folder / "figure.png",
        observations=observations,
        states=states,
        predictions=predictions,
        log_likelihood=log_likelihood,
        eigenvalues=model.eigenvalues(),
        rate_hz=rate,
    )


def _write_states(job: Job, states: Smoothed, rate_hz: float) -> None:
    """smoothed.csv: one row per trial and time point, each state with its standard deviation."""
    means = np.asarray(states.means)
    deviations = np.sqrt(np.maximum(np.diagonal(np.asarray(states.covariances), axis1=2, axis2=3), 0.0))
    trials, points, count = means.shape
    trial, point = np.divmod(np.arange(trials * points), points)
    columns = [trial + 1, point / rate_hz if rate_hz else point, *means.reshape(-1, count).T]
    columns += list(deviations.reshape(-1, count).T)
    names = ["trial", "time_s" if rate_hz else "time_point", *(f"state_{d + 1}" for d in range(count))]
    names += [f"state_{d + 1}_sd" for d in range(count)]
    formats = ["%d", "%.9g" if rate_hz else "%d", *["%.9g"] * (2 * count)]
    np.savetxt(
        job.results / "smoothed.csv",
        np.column_stack(columns),
        delimiter=",",
        header=",".join(names),
        comments="",
        fmt=formats,
    )


def _summary(
    job: Job, observations: Observations, model: Model, predictions: dict[str, Array], curve: Array, rate_hz: float
) -> dict[str, Any]:
    values = observations.values
    seen = np.isfinite(values)
    residual = np.where(seen, values - predictions["reconstruction"], 0.0)
    total = np.where(seen, values - np.nanmean(values, axis=(0, 1)), 0.0)
    varies = (total**2).sum(axis=(0, 1)) > 0
    explained = 1 - (residual**2).sum(axis=(0, 1)) / np.where(varies, (total**2).sum(axis=(0, 1)), 1.0)
    return {
        "recording": observations.filename,
        "trials": values.shape[0],
        "time_points": values.shape[1],
        "channels": values.shape[2],
        "states": model.F.shape[0],
        "missing_values": int((~seen).sum()),
        "time_points_without_any_value": int((~seen.any(axis=2)).sum()),
        "iterations": len(curve) - 1,
        "log_likelihood": float(curve[-1]),
        "log_likelihood_per_value": float(curve[-1] / seen.sum()),
        "variance_explained": {
            name: float(share) if known else None
            for name, share, known in zip(observations.channels, explained, varies, strict=True)
        },
        "dynamics": [_mode(value, rate_hz) for value in model.eigenvalues()],
        "seed": job.seed,
    }


def _mode(eigenvalue: complex, rate_hz: float) -> dict[str, float | None]:
    """An eigenvalue of F as a frequency and a decay time; None where it has neither or where it grows."""
    magnitude, angle = abs(eigenvalue), abs(np.angle(eigenvalue))
    decay = -1 / np.log(magnitude) if 0 < magnitude < 1 else None
    unit = "s" if rate_hz else "time_points"
    return {
        "real": float(eigenvalue.real),
        "imaginary": float(eigenvalue.imag),
        "magnitude": float(magnitude),
        "frequency_hz" if rate_hz else "cycles_per_time_point": float(angle / (2 * np.pi) * (rate_hz or 1)),
        f"decay_{unit}": None if decay is None else float(decay / (rate_hz or 1)),
    }
