"""The slow, plain truth for test_kalman.py: one joint Gaussian of all states and observations, conditioned directly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Known = dict[str, Array]


class Conditioned(NamedTuple):
    """z: (T, D), covariances (T, D, D), y: (T, N), gaps filled. joint_*: of [all z, all y] given what was observed."""

    z: Array
    covariances: Array
    y: Array
    y_sd: Array
    log_likelihood: float
    joint_mean: Array
    joint_covariance: Array


def condition(known: Known, observations: Array) -> Conditioned:
    """known: F, Q, H, R, m0, P0, d. observations: (T, N), NaN = gap."""
    points, channels = observations.shape
    states = len(known["m0"])
    mean, covariance = _prior(known, points, states)
    emission = np.kron(np.eye(points), known["H"])
    whole = np.vstack([np.eye(points * states), emission])
    joint_mean = whole @ mean + np.concatenate([np.zeros(points * states), np.tile(known["d"], points)])
    joint = whole @ covariance @ whole.T
    joint[points * states :, points * states :] += np.kron(np.eye(points), known["R"])
    seen = points * states + np.flatnonzero(np.isfinite(observations.ravel()))
    difference = observations.ravel()[np.isfinite(observations.ravel())] - joint_mean[seen]
    innovation = joint[np.ix_(seen, seen)]
    gain = np.linalg.solve(innovation, joint[seen]).T
    after_mean = joint_mean + gain @ difference
    after = joint - gain @ joint[seen]
    log_likelihood = -0.5 * (
        difference @ np.linalg.solve(innovation, difference)
        + np.linalg.slogdet(innovation)[1]
        + len(seen) * np.log(2 * np.pi)
    )
    blocks = after[: points * states, : points * states].reshape(points, states, points, states)
    y_variance = np.diag(after)[points * states :].reshape(points, channels)
    return Conditioned(
        after_mean[: points * states].reshape(points, states),
        np.stack([blocks[t, :, t] for t in range(points)]),
        np.where(np.isfinite(observations), observations, after_mean[points * states :].reshape(points, channels)),
        np.sqrt(np.where(np.isfinite(observations), 0.0, y_variance)),
        float(log_likelihood),
        after_mean,
        after,
    )


def _prior(known: Known, points: int, states: int) -> tuple[Array, Array]:
    means, own = [known["m0"]], [known["P0"]]
    for _ in range(points - 1):
        means.append(known["F"] @ means[-1])
        own.append(known["F"] @ own[-1] @ known["F"].T + known["Q"])
    covariance = np.zeros((points, states, points, states))
    for earlier in range(points):
        block = own[earlier]
        for later in range(earlier, points):
            covariance[later, :, earlier] = block
            covariance[earlier, :, later] = block.T
            block = known["F"] @ block
    return np.concatenate(means), covariance.reshape(points * states, points * states)


def one_em_step(known: Known, observations: Array, *, diagonal: bool) -> Known:
    """The textbook M-step from the dense posterior's moments. Time points without any value count for F and Q only.

    diagonal: each channel's H and R from the time points at which it was observed.
    """
    points, channels = observations.shape
    states = len(known["m0"])
    posterior = condition(known, observations)
    centred = posterior.joint_mean - np.concatenate([np.zeros(points * states), np.tile(known["d"], points)])
    moments = posterior.joint_covariance + np.outer(centred, centred)
    split = points * states
    zz = moments[:split, :split].reshape(points, states, points, states)
    yz = moments[split:, :split].reshape(points, channels, points, states)
    yy = moments[split:, split:].reshape(points, channels, points, channels)
    before = np.sum([zz[t, :, t] for t in range(points - 1)], axis=0)
    after = np.sum([zz[t, :, t] for t in range(1, points)], axis=0)
    cross = np.sum([zz[t + 1, :, t] for t in range(points - 1)], axis=0)
    dynamics = cross @ np.linalg.inv(before)
    seen = np.isfinite(observations)
    weights, noise = np.zeros((channels, states)), np.zeros((channels, channels))
    rows = [(slice(n, n + 1), np.flatnonzero(seen[:, n])) for n in range(channels)]
    for row, times in rows if diagonal else [(slice(0, channels), np.flatnonzero(seen.any(axis=1)))]:
        inputs = np.sum([zz[t, :, t] for t in times], axis=0)
        outputs = np.sum([yz[t, row, t] for t in times], axis=0)
        squares = np.sum([yy[t, row, t, row] for t in times], axis=0)
        weights[row] = outputs @ np.linalg.inv(inputs)
        noise[row, row] = (squares - weights[row] @ outputs.T) / len(times)
    return {
        "F": dynamics,
        "Q": (after - dynamics @ cross.T) / (points - 1),
        "H": weights,
        "R": noise,
        "m0": posterior.z[0],
        "P0": posterior.covariances[0],
    }
