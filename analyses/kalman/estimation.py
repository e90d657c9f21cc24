"""Exact smoothing and EM for a linear dynamical system whose observations have gaps, on dynamax's Kalman smoother.

Gaps. dynamax knows no missing values, but takes observation weights that change with time. For each time point with
observed channels o, let L be the Cholesky factor of R_oo and q r the QR decomposition of L⁻¹ H_o. Then qᵀ L⁻¹ y_o has
weights r and unit noise, and holds all that y_o says about the state; what is orthogonal to it enters the
log-likelihood alone. So dynamax sees min(N, D) pseudo-channels with r as weights (0 where nothing was observed), and

    log p(y_o) = log p(pseudo) + M/2 log 2π − n/2 log 2π − log|L| − ½ (‖L⁻¹ y_o‖² − ‖qᵀ L⁻¹ y_o‖²),

n = observed channels, M = pseudo-channels. This is exact, costs O(D³) per time point however many channels there are,
and keeps innovation covariances at or above the identity. The states are scaled likewise, so that Q is the identity.
Both matter: dynamax adds 1e-9 to the diagonal of every matrix it inverts, which is then harmless in any units.

EM (Shumway & Stoffer 1982, doi:10.1111/j.1467-9892.1982.tb00349.x; Ghahramani & Hinton 1996). F, Q, m0 and P0 follow
from the smoothed moments of the states as usual. H and R with diagonal R: each channel is a regression on the states
over the time points at which that channel was observed. With full R the missing channels m are part of the complete
data, and given state and observed channels they are Gaussian:

    E[y_m | y_o, z] = H_m z + R_mo R_oo⁻¹ (y_o − H_o z),     C = Cov[y_m | y_o, z] = R_mm − R_mo R_oo⁻¹ R_om.

With K = R_:o R_oo⁻¹ (identity on observed rows) and B = H − K H_o this is y = K y_o + B z + noise(C), so that with
ŷ = K y_o + B E[z] and V = Cov[z] the moments needed are E[y zᵀ] = ŷ E[z]ᵀ + B V and E[y yᵀ] = ŷ ŷᵀ + B V Bᵀ + C.
Time points without any observed channel say nothing about H and R and are left out of both. Q, R and P0 are kept at or
above small multiples of the identity by clipping eigenvalues, which is the constrained maximum, so EM stays monotonic.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from dynamax.linear_gaussian_ssm.inference import lgssm_smoother, make_lgssm_params
from jax.scipy.linalg import solve_triangular
from model import Model
from numpy.typing import NDArray

jax.config.update("jax_enable_x64", True)

LOG_2PI = float(np.log(2 * np.pi))
SMALLEST_NOISE = 1e-6  # Of a channel's variance (diagonal R), or of R's eigenvalues in standardized units.
SMALLEST_STATE_VARIANCE = 1e-8
TIMES_AT_ONCE = 256


class Evidence(NamedTuple):
    """values: (S, T, N), 0 in gaps. masks: (K, N), the distinct sets of observed channels. pattern: (S, T), which."""

    values: Any
    masks: Any
    pattern: Any

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Evidence:
        """values: (S trials, T, N), NaN = gap."""
        seen = np.isfinite(values)
        packed = np.packbits(seen, axis=-1)
        _, first, pattern = np.unique(
            packed.reshape(-1, packed.shape[-1]), axis=0, return_index=True, return_inverse=True
        )
        masks = seen.reshape(-1, seen.shape[-1])[first]
        return cls(
            jnp.asarray(np.where(seen, values, 0.0)), jnp.asarray(masks), jnp.asarray(pattern.reshape(seen.shape[:2]))
        )


class Parameters(NamedTuple):
    """As Model, without the offset."""

    F: Any
    Q: Any
    H: Any
    R: Any
    m0: Any
    P0: Any

    @classmethod
    def of(cls, model: Model) -> Parameters:
        return cls(*(jnp.asarray(getattr(model, name)) for name in cls._fields))


class Smoothed(NamedTuple):
    """Means (S, T, D), covariances (S, T, D, D); cross: (S, T-1, D, D), E[z_t z_{t+1}ᵀ]. log_likelihood: of all."""

    log_likelihood: Any
    filtered_means: Any
    filtered_covariances: Any
    means: Any
    covariances: Any
    cross: Any


@partial(jax.jit, static_argnames="diagonal")
def em_step(parameters: Parameters, evidence: Evidence, *, diagonal: bool) -> tuple[Smoothed, Parameters]:
    """E-step under `parameters`, then the M-step. Returns the posterior and the next parameters."""
    posterior = smooth(parameters, evidence, diagonal=diagonal)
    return posterior, _maximised(parameters, evidence, posterior, diagonal=diagonal)


@partial(jax.jit, static_argnames="diagonal")
def smooth(parameters: Parameters, evidence: Evidence, *, diagonal: bool) -> Smoothed:
    """Kalman filter and Rauch-Tung-Striebel smoother of every trial; diagonal: R is (only its diagonal is read)."""
    size = parameters.F.shape[0]
    # A singular Q (a position that is exactly the integral of a velocity) is scaled by a matrix near it: any would do.
    nudge = 1e-6 * (jnp.trace(parameters.Q) + 1e-6 * jnp.trace(parameters.P0)) / size
    smallest = jnp.linalg.eigvalsh(parameters.Q)[0]
    scale = jnp.linalg.cholesky(parameters.Q + jnp.where(smallest > nudge * 1e-6, 0.0, nudge) * jnp.eye(size))
    inner = partial(solve_triangular, scale, lower=True)
    weights, values, log_scale = _whitened(parameters, evidence, diagonal=diagonal)
    rotation, compressed = jnp.linalg.qr(weights @ scale)
    pseudo = _apply(jnp.swapaxes(rotation, 1, 2), evidence.pattern, values)
    channels = pseudo.shape[-1]

    def one_trial(pseudo_trial: Any, pattern: Any) -> Any:
        lgssm = make_lgssm_params(
            initial_mean=inner(parameters.m0),
            initial_cov=inner(inner(parameters.P0).T),
            dynamics_weights=inner(parameters.F @ scale),
            dynamics_cov=inner(inner(parameters.Q).T),
            emissions_weights=compressed[pattern],
            # One per time point: a single square one is ambiguous to dynamax when there are as many time points.
            emissions_cov=jnp.broadcast_to(jnp.eye(channels), (len(pseudo_trial), channels, channels)),
        )
        return lgssm_smoother(lgssm, pseudo_trial)

    posterior = jax.vmap(one_trial)(pseudo, evidence.pattern)
    observed = evidence.masks.sum(axis=1)[evidence.pattern]
    log_likelihood = posterior.marginal_loglik.sum() + jnp.sum(
        0.5 * (channels - observed) * LOG_2PI
        - log_scale[evidence.pattern]
        - 0.5 * (jnp.sum(values**2, axis=-1) - jnp.sum(pseudo**2, axis=-1))
    )
    return Smoothed(
        log_likelihood,
        posterior.filtered_means @ scale.T,
        scale @ posterior.filtered_covariances @ scale.T,
        posterior.smoothed_means @ scale.T,
        scale @ posterior.smoothed_covariances @ scale.T,
        scale @ posterior.smoothed_cross_covariances @ scale.T,
    )


def _whitened(parameters: Parameters, evidence: Evidence, *, diagonal: bool) -> tuple[Any, Any, Any]:
    """L⁻¹ H_o (K, N, D), L⁻¹ y_o (S, T, N) and log|L| (K,), with zeros for what was not observed."""
    masks = evidence.masks
    if diagonal:
        deviation = jnp.sqrt(jnp.diag(parameters.R))
        weights = masks[:, :, None] * (parameters.H / deviation[:, None])
        return weights, evidence.values / deviation, masks @ jnp.log(deviation)
    factors = jnp.linalg.cholesky(_observed_noise(parameters.R, masks))
    identity = jnp.eye(masks.shape[1])
    inverses = jax.vmap(lambda factor: solve_triangular(factor, identity, lower=True))(factors)
    weights = inverses @ (masks[:, :, None] * parameters.H)
    log_scale = jnp.log(jnp.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    return weights, _apply(inverses, evidence.pattern, evidence.values), log_scale


def _observed_noise(noise: Any, masks: Any) -> Any:
    """R with the identity in place of the missing channels, (K, N, N)."""
    return jnp.where(masks[:, :, None] & masks[:, None, :], noise, jnp.eye(noise.shape[0]))


def _apply(matrices: Any, pattern: Any, vectors: Any) -> Any:
    """matrices[pattern] @ vectors, (S, T, P), without laying out one matrix per time point. matrices: (K, P, N)."""
    if matrices.shape[0] == 1:
        return vectors @ matrices[0].T
    flat = jax.lax.map(
        lambda at: matrices[at[0]] @ at[1],
        (pattern.reshape(-1), vectors.reshape(-1, vectors.shape[-1])),
        batch_size=TIMES_AT_ONCE,
    )
    return flat.reshape(*vectors.shape[:2], -1)


def _maximised(parameters: Parameters, evidence: Evidence, posterior: Smoothed, *, diagonal: bool) -> Parameters:
    means, covariances = posterior.means, posterior.covariances
    moments = covariances + means[..., :, None] * means[..., None, :]
    before, after = moments[:, :-1].sum(axis=(0, 1)), moments[:, 1:].sum(axis=(0, 1))
    cross = posterior.cross.sum(axis=(0, 1))
    dynamics = _solve(before, cross).T
    steps = means.shape[0] * (means.shape[1] - 1)
    state_noise = (after - dynamics @ cross - cross.T @ dynamics.T + dynamics @ before @ dynamics.T) / steps
    start = means[:, 0].mean(axis=0)
    away = means[:, 0] - start
    start_spread = covariances[:, 0].mean(axis=0) + away.T @ away / means.shape[0]
    regress = _regress_observed if diagonal else _regress_completed
    weights, noise = regress(parameters, evidence, posterior, moments)
    return Parameters(
        dynamics,
        _clipped(state_noise, SMALLEST_STATE_VARIANCE),
        weights,
        noise,
        start,
        _clipped(start_spread, SMALLEST_STATE_VARIANCE),
    )


def _regress_observed(parameters: Parameters, evidence: Evidence, posterior: Smoothed, moments: Any) -> Any:
    """H and diagonal R: every channel on the states, where it was observed."""
    patterns, states = evidence.masks.shape[0], parameters.F.shape[0]
    by_pattern = jax.ops.segment_sum(
        moments.reshape(-1, states, states), evidence.pattern.reshape(-1), num_segments=patterns
    )
    masks = evidence.masks.astype(moments.dtype)
    inputs = jnp.einsum("kn,kij->nij", masks, by_pattern)
    outputs = jnp.einsum("stn,sti->ni", evidence.values, posterior.means)
    weights = jax.vmap(_solve)(inputs, outputs)
    squares = jnp.sum(evidence.values**2, axis=(0, 1))
    left_over = squares - 2 * jnp.sum(weights * outputs, axis=1) + jnp.einsum("ni,nij,nj->n", weights, inputs, weights)
    count = masks[evidence.pattern].sum(axis=(0, 1))
    return weights, jnp.diag(jnp.maximum(left_over / count, SMALLEST_NOISE))


def _regress_completed(parameters: Parameters, evidence: Evidence, posterior: Smoothed, moments: Any) -> Any:
    """H and full R, the missing channels replaced by their conditional moments (see the top of this file)."""
    masks, pattern = evidence.masks, evidence.pattern
    patterns, states = masks.shape[0], parameters.F.shape[0]
    factors = jnp.linalg.cholesky(_observed_noise(parameters.R, masks))
    seen_noise = masks[:, :, None] * parameters.R
    gains = jax.vmap(lambda factor, noise: jax.scipy.linalg.cho_solve((factor, True), noise).T)(factors, seen_noise)
    slopes = parameters.H - gains @ (masks[:, :, None] * parameters.H)
    spreads = parameters.R - gains @ seen_noise
    used = masks.any(axis=1)[pattern].astype(moments.dtype)
    means = posterior.means * used[..., None]
    completed = _apply(gains, pattern, evidence.values) + _apply(slopes, pattern, means)
    uncertainty = jax.ops.segment_sum(
        (posterior.covariances * used[..., None, None]).reshape(-1, states, states),
        pattern.reshape(-1),
        num_segments=patterns,
    )
    counts = jax.ops.segment_sum(used.reshape(-1), pattern.reshape(-1), num_segments=patterns)
    inputs = jnp.sum(moments * used[..., None, None], axis=(0, 1))
    outputs = jnp.einsum("stn,sti->ni", completed, means) + jnp.einsum("kni,kij->nj", slopes, uncertainty)
    squares = jnp.einsum("stn,stm->nm", completed, completed)
    squares += jnp.einsum("kni,kmi->nm", slopes @ uncertainty, slopes) + jnp.tensordot(counts, spreads, axes=1)
    weights = _solve(inputs, outputs.T).T
    left_over = squares - weights @ outputs.T - outputs @ weights.T + weights @ inputs @ weights.T
    return weights, _clipped(left_over / used.sum(), SMALLEST_NOISE)


def _solve(moments: Any, outputs: Any) -> Any:
    """moments⁻¹ outputs for a positive definite matrix, scaled to a unit diagonal first."""
    scale = jnp.sqrt(jnp.maximum(jnp.diag(moments), 1e-300))
    factor = jax.scipy.linalg.cho_factor(moments / jnp.outer(scale, scale), lower=True)
    right = outputs / (scale[:, None] if outputs.ndim == 2 else scale)
    return (jax.scipy.linalg.cho_solve(factor, right).T / scale).T


def _clipped(covariance: Any, smallest: float) -> Any:
    values, vectors = jnp.linalg.eigh(0.5 * (covariance + covariance.T))
    return (vectors * jnp.maximum(values, smallest)) @ vectors.T


def filled_gaps(model: Model, values: NDArray[np.float64], states: Smoothed) -> dict[str, NDArray[np.float64]]:
    """What the model says of every channel, in the units of `model` and `values` (S, T, N), NaN = gap.

    reconstruction: H E[z] + d; reconstruction_sd: of a new measurement around it (states and noise); filled: the
    observed value, or in a gap its expectation given all that was observed; filled_sd: 0, or that value's deviation.
    """
    means, covariances = np.asarray(states.means), np.asarray(states.covariances)
    weights, noise = model.H, model.R
    reconstruction = means @ weights.T + model.d
    spread = np.einsum("ni,stij,nj->stn", weights, covariances, weights, optimize=True)
    seen = np.isfinite(values)
    filled = np.where(seen, values, reconstruction)
    variance = np.where(seen, 0.0, spread + np.diag(noise))
    if np.any(noise != np.diag(np.diag(noise))):
        for trial, point in np.argwhere(seen.any(axis=2) & ~seen.all(axis=2)):
            there, gone = np.flatnonzero(seen[trial, point]), np.flatnonzero(~seen[trial, point])
            gain = np.linalg.solve(noise[np.ix_(there, there)], noise[np.ix_(there, gone)]).T
            slope = weights[gone] - gain @ weights[there]
            left = values[trial, point, there] - model.d[there]
            filled[trial, point, gone] = gain @ left + slope @ means[trial, point] + model.d[gone]
            own = np.diag(noise)[gone] - np.einsum("ij,ji->i", gain, noise[np.ix_(there, gone)])
            variance[trial, point, gone] = own + np.einsum("ni,ij,nj->n", slope, covariances[trial, point], slope)
    return {
        "reconstruction": reconstruction,
        "reconstruction_sd": np.sqrt(np.maximum(spread + np.diag(noise), 0.0)),
        "filled": filled,
        "filled_sd": np.sqrt(np.maximum(variance, 0.0)),
    }
