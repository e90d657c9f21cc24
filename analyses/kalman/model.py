"""The linear dynamical system: its parameters, changes of units and of state coordinates, and the starting point of EM.

z_1 ~ N(m0, P0)    z_{t+1} = F z_t + N(0, Q)    y_t = H z_t + d + N(0, R)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LARGEST_STARTING_RADIUS = 0.99  # EM starts from stable dynamics; it may leave them if the data ask for it.
SMALLEST_STARTING_VARIANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Model:
    """F, Q, P0: (D, D). H: (N, D). R: (N, N). m0: (D,). d: (N,) offset of each channel. D states, N channels."""

    F: Array
    Q: Array
    H: Array
    R: Array
    m0: Array
    P0: Array
    d: Array

    def in_units(self, scale: Array) -> Model:
        """The same model of y / scale. scale: (N,)."""
        return replace(self, H=self.H / scale[:, None], R=self.R / np.outer(scale, scale), d=self.d / scale)

    def with_states(self, transform: Array) -> Model:
        """The same model of the states transform @ z. transform: (D, D), invertible."""
        inverse = np.linalg.inv(transform)
        return replace(
            self,
            F=transform @ self.F @ inverse,
            Q=_symmetric(transform @ self.Q @ transform.T),
            H=self.H @ inverse,
            m0=transform @ self.m0,
            P0=_symmetric(transform @ self.P0 @ transform.T),
        )

    def eigenvalues(self) -> NDArray[np.complex128]:
        """Eigenvalues of the dynamics F, largest first."""
        values = np.linalg.eigvals(self.F).astype(np.complex128)
        return values[np.lexsort((-values.imag, -np.abs(values).round(12)))]


def _symmetric(matrix: Array) -> Array:
    symmetric: Array = 0.5 * (matrix + matrix.T)
    return symmetric


def principal_states(model: Model, states: Array) -> Array:
    """The transform (D, D) after which H has orthonormal columns and the states are uncorrelated, largest first.

    An LDS is known only up to an invertible change of its states (Roweis & Ghahramani 1999, section 3); this fixes
    the choice, so that equal recordings give equal states. states: (points, D) smoothed means. With fewer channels
    than states (or channels that repeat each other) no such choice exists and the states stay as EM left them.
    """
    count = model.F.shape[0]
    if np.linalg.matrix_rank(model.H) < count:
        return np.eye(count)
    spread = np.atleast_2d(np.cov(states.T))
    values, vectors = np.linalg.eigh(model.H @ spread @ model.H.T)
    basis = vectors[:, np.argsort(values)[::-1][:count]]
    transform = basis.T @ model.H
    if np.linalg.cond(transform) > 1e8:
        return np.eye(count)
    signs = np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(count)])
    oriented: Array = signs[:, None] * transform
    return oriented


def starting_model(values: Array, state_dim: int) -> Model:
    """Where EM starts. values: (trials, time, channels), standardized, NaN = gap.

    Gaps are filled by linear interpolation along time. The states are the leading principal components of each time
    point together with as many earlier ones as it takes to have more dimensions than states; F and H are least-squares
    regressions on them, Q and R what these leave over, m0 and P0 the mean and covariance at the first time point of
    the trials (the overall covariance for a single trial). Needs no random numbers.
    """
    filled = np.stack([_interpolated(trial) for trial in values])
    trials, points, channels = filled.shape
    lags = min(points - 1, 1 if state_dim <= channels else -(-state_dim // channels) + 1)
    padded = np.concatenate([np.repeat(filled[:, :1], lags - 1, axis=1), filled], axis=1)
    window = np.concatenate([padded[:, lag : lag + points] for lag in reversed(range(lags))], axis=2)
    flat = window.reshape(trials * points, -1)
    _, _, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    states = (window @ axes[:state_dim].T).reshape(trials, points, -1)
    states = np.pad(states, ((0, 0), (0, 0), (0, state_dim - states.shape[2])))
    before, after = states[:, :-1].reshape(-1, state_dim), states[:, 1:].reshape(-1, state_dim)
    dynamics = _regression(before, after)
    radius = np.abs(np.linalg.eigvals(dynamics)).max()
    dynamics *= min(1.0, LARGEST_STARTING_RADIUS / max(radius, 1e-12))
    every = states.reshape(-1, state_dim)
    weights = _regression(every, filled.reshape(-1, channels))
    first = states[:, 0]
    spread = np.cov(first.T) if trials > 2 * state_dim else np.cov(every.T)
    noise = (filled.reshape(-1, channels) - every @ weights.T).var(axis=0)
    return Model(
        F=dynamics,
        Q=_starting_covariance((after - before @ dynamics.T).T @ (after - before @ dynamics.T) / len(after)),
        H=weights,
        R=np.diag(np.maximum(noise, 10 * SMALLEST_STARTING_VARIANCE)),
        m0=first.mean(axis=0),
        P0=_starting_covariance(np.atleast_2d(spread)),
        d=np.zeros(channels),
    )


def _interpolated(trial: Array) -> Array:
    """One trial (time, channels) without gaps; a channel that this trial lacks throughout becomes 0, the mean."""
    time = np.arange(len(trial))
    filled = np.zeros_like(trial)
    for channel, column in enumerate(trial.T):
        seen = np.isfinite(column)
        if seen.any():
            filled[:, channel] = np.interp(time, time[seen], column[seen])
    return filled


def _regression(inputs: Array, outputs: Array) -> Array:
    """W with outputs ≈ inputs @ W.T, by least squares; zero for directions that the inputs lack."""
    solution = np.asarray(np.linalg.lstsq(inputs, outputs, rcond=1e-10)[0], dtype=np.float64)
    return solution.T


def _starting_covariance(matrix: Array) -> Array:
    size = matrix.shape[0]
    widened: Array = _symmetric(matrix) + SMALLEST_STARTING_VARIANCE * max(1.0, np.trace(matrix) / size) * np.eye(size)
    return widened
