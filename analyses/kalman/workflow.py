"""Fit a linear dynamical system by EM and smooth with it: observations in, states, parameters and filled gaps out."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import numpy as np
from job import Failure, Job, Report
from model import Array, Model, principal_states, starting_model
from reading import check_length, read_observations, read_parameters

if TYPE_CHECKING:
    from estimation import Smoothed


def main() -> int:
    report = Report(None)
    try:
        job = Job.from_variables(os.environ)
        report = Report(job.report)
        _analyse(job, report)
    except Failure as failure:
        report.failure(str(failure))
        return 1
    except Exception as error:
        # A person gets one sentence whatever happens; the type and text are what a developer needs to begin with.
        report.failure(f"The Kalman analysis stopped on an unforeseen {type(error).__name__}: {str(error)[:300]}")
        return 70
    return 0


def _analyse(job: Job, report: Report) -> None:
    observations = read_observations(job.observations)
    channels = len(observations.channels)
    given = read_parameters(job.parameters, channels=channels) if job.parameters else None
    fit = bool(job.config["fit"])
    if given is None and not fit:
        raise Failure("fit is false but no parameters were given; add a parameters file (.npz), or set fit to true.")
    state_dim = given.F.shape[0] if given else int(job.config["state_dim"])
    check_length(observations, state_dim=state_dim, fit=fit)
    for note in observations.notes:
        report.message(note)
    if observations.values.shape[1] < channels:
        report.message(
            f"{observations.filename} has fewer time points ({observations.values.shape[1]}) than channels "
            f"({channels}); time is expected along the rows."
        )
    report.progress(0.01, "starting JAX")
    _confine(job.cores)
    scale, offset = _units(observations.values, given, standardize=bool(job.config["standardize"]))
    working = (observations.values - offset) / scale
    model = given.in_units(scale) if given else starting_model(working, state_dim)
    diagonal = str(job.config["noise"]) == "diagonal" if fit else not np.any(model.R - np.diag(np.diag(model.R)))
    model, states, curve = _estimate(job, report, working, model, fit=fit, known=given is not None, diagonal=diagonal)
    # log p(y) = log p(y / scale) - log(scale) for every observed value.
    curve = curve - float((np.isfinite(working) * np.log(scale)).sum())
    from results import write_results

    report.progress(0.92, "writing results")
    in_recording_units = Model(**(vars(model.in_units(1 / scale)) | {"d": offset}))
    write_results(
        job,
        observations=observations,
        model=in_recording_units,
        states=states,
        log_likelihood=curve,
        fitted=fit,
        diagonal=diagonal,
    )
    report.progress(1.0, f"log-likelihood {curve[-1]:.2f}")


def _confine(cores: int) -> None:
    """Keep JAX on the processor and on the granted cores. It reads these once, so they are set before its import."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["NPROC"] = str(cores)
    flags = [f"--xla_cpu_parallel_codegen_split_count={cores}"]
    if cores == 1:
        flags.append("--xla_cpu_multi_thread_eigen=false")
    os.environ["XLA_FLAGS"] = " ".join(flags)


def _units(values: Array, given: Model | None, *, standardize: bool) -> tuple[Array, Array]:
    """Scale and offset (N,) of the units in which EM works. A constant channel keeps the scale 1."""
    offset = np.nanmean(values, axis=(0, 1)) if standardize else np.zeros(values.shape[2])
    if given is not None:
        offset = given.d
    scale = np.nanstd(values, axis=(0, 1))
    if not standardize:
        scale = np.full_like(scale, np.sqrt(np.nanmean(values**2)))
    return np.where(scale > 1e-12 * np.abs(offset), scale, 1.0), offset


def _estimate(
    job: Job, report: Report, working: Array, model: Model, *, fit: bool, known: bool, diagonal: bool
) -> tuple[Model, Smoothed, Array]:
    """The fitted model, the posterior under it and the log-likelihood after 0, 1, ... iterations (working units)."""
    import jax
    from estimation import Evidence, Parameters, em_step, smooth

    evidence, parameters = Evidence.of(working), Parameters.of(model)
    iterations = int(job.config["iterations"]) if fit else 0
    tolerance = float(job.config["tolerance"]) * int(np.isfinite(working).sum())
    curve: list[float] = []
    while True:
        report.progress(0.05 + 0.85 * len(curve) / (iterations + 1), f"EM iteration {len(curve)} of {iterations}")
        # Compiling the M-step takes a second, so it is left out where nothing is fitted.
        step = (
            em_step(parameters, evidence, diagonal=diagonal)
            if fit
            else (smooth(parameters, evidence, diagonal=diagonal), parameters)
        )
        posterior, following = jax.block_until_ready(step)
        curve.append(float(posterior.log_likelihood))
        if not np.isfinite(curve[-1]) or not all(np.isfinite(part).all() for part in posterior):
            raise Failure(
                f"The model of {job.observations.name} broke down numerically after {len(curve) - 1} EM iterations; "
                "use fewer states, or check the given parameters."
            )
        settled = len(curve) > 1 and curve[-1] - curve[-2] < tolerance
        if len(curve) > iterations or settled:
            break
        parameters = following
    fitted = Model(**{name: np.asarray(part) for name, part in parameters._asdict().items()}, d=model.d)
    if fit and not known:
        transform = principal_states(fitted, np.asarray(posterior.means).reshape(-1, fitted.F.shape[0]))
        fitted = fitted.with_states(transform)
        posterior, _ = em_step(Parameters.of(fitted), evidence, diagonal=diagonal)
    return fitted, posterior, np.array(curve)


if __name__ == "__main__":
    sys.exit(main())
