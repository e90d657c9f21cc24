"""The two denoisers of penalized matrix decomposition, each with its noise level as a constraint.

total_variation:  min ||Dx||_1   subject to ||x - y||^2 <= n * variance, in space (anisotropic)
trend_filter:     min ||D2 x||_1 subject to ||x - y||^2 <= n * variance, in time (piecewise linear)

Both solve the dual problem for a weight, and move the weight until the constraint holds within 2 %.
"""

from __future__ import annotations

import numpy as np
from recording import Array
from scipy.linalg.lapack import dpbsv

CLOSE = 0.02  # how near to its constraint a solution has to be, relative
MOST_WEIGHTS = 12  # tried for one time course
MOST_STEPS = 60  # of the interior point method for one weight; it takes 10 to 25
MOST_SWEEPS = 300  # of the dual gradient in space


def total_variation(image: Array, variance: float, weight: float = 0.0) -> tuple[Array, float]:
    """The denoised image and the weight it took, which is a good first guess for the next similar image.

    Accelerated projected gradient on the dual (Beck & Teboulle 2009, doi:10.1109/TIP.2009.2028250); the weight follows
    the constraint as in Chambolle (2004, doi:10.1023/B:JMIV.0000011325.36760.1e). A flat image when that is enough.
    """
    target = np.sqrt(image.size * variance)
    flat = np.full_like(image, image.mean())
    if target >= np.linalg.norm(image - flat):
        return flat, weight
    weight = weight or np.sqrt(variance)
    rows, columns = np.zeros((image.shape[0] - 1, image.shape[1])), np.zeros((image.shape[0], image.shape[1] - 1))
    rows_ahead, columns_ahead = rows, columns
    momentum = 1.0
    found = image
    for sweep in range(1, MOST_SWEEPS + 1):
        ahead = image - _divergence(rows_ahead, columns_ahead, image.shape)
        new_rows = np.clip(rows_ahead + (ahead[1:] - ahead[:-1]) / 8, -weight, weight)
        new_columns = np.clip(columns_ahead + (ahead[:, 1:] - ahead[:, :-1]) / 8, -weight, weight)
        new_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        step = (momentum - 1) / new_momentum
        rows_ahead = new_rows + step * (new_rows - rows)
        columns_ahead = new_columns + step * (new_columns - columns)
        rows, columns, momentum = new_rows, new_columns, new_momentum
        if sweep % 10:
            continue
        before, removed = found, _divergence(rows, columns, image.shape)
        found = image - removed
        ratio = target / np.linalg.norm(removed)
        if abs(ratio - 1) < CLOSE / 2 and np.linalg.norm(found - before) < CLOSE * target:
            break
        if abs(ratio - 1) >= CLOSE / 4:
            ratio = min(max(ratio, 0.25), 4.0)
            weight *= ratio
            rows, columns = rows * ratio, columns * ratio
            rows_ahead, columns_ahead, momentum = rows, columns, 1.0
    return found, weight


def _divergence(rows: Array, columns: Array, shape: tuple[int, int]) -> Array:
    """The transpose of taking differences down the rows and along the columns."""
    total = np.zeros(shape)
    total[1:] += rows
    total[:-1] -= rows
    total[:, 1:] += columns
    total[:, :-1] -= columns
    return total


class TrendFilter:
    """Denoises one time course again and again, as it changes a little: each solution is the next one's first guess.

    For one weight, min 1/2 ||y - x||^2 + weight ||D2 x||_1 is solved by the primal-dual interior point method of Kim,
    Koh, Boyd & Gorinevsky (2009), doi:10.1137/070690274: each step solves one pentadiagonal system. The weight that
    meets the constraint is found by the secant rule on the logarithms of weight and distance.
    """

    def __init__(self, frames: int) -> None:
        size = frames - 2
        self.band = np.empty((3, size))  # D2 D2^T, its upper half by diagonals
        self.band[0], self.band[1], self.band[2] = 1.0, -4.0, 6.0
        self.times = np.linspace(-1, 1, frames)
        self.weight = 0.0  # of `dual`; 0: there is none yet
        self.slope = 0.2  # d log(distance) / d log(weight)
        self.dual, self.upper, self.lower = np.zeros(size), np.ones(size), np.ones(size)

    def denoise(self, course: Array, variance: float) -> Array:
        """The denoised time course; the straight line when that is near enough."""
        line = course.mean() + self.times * (course @ self.times) / (self.times @ self.times)
        if len(course) * variance >= np.sum((course - line) ** 2):
            return line
        scale = np.sqrt(variance)
        scaled, goal = course / scale, np.log(np.sqrt(len(course)))
        trial = np.log(self.weight) if self.weight else np.log(4.0)
        low, high = -np.inf, np.inf
        last: tuple[float, float] | None = None
        for _ in range(MOST_WEIGHTS):
            found = self.solve(scaled, np.exp(trial))
            distance = np.log(np.linalg.norm(found - scaled))
            if abs(distance - goal) < CLOSE / 2:
                break
            low, high = (trial, high) if distance < goal else (low, trial)
            if last is not None:
                self.slope = min(max((distance - last[1]) / (trial - last[0]), 0.02), 1.0)
            last = trial, distance
            trial += min(max((goal - distance) / self.slope, -4.0), 4.0)
            if not low < trial < high:
                trial = (low + high) / 2
        return found * scale

    def solve(self, course: Array, weight: float) -> Array:
        """The solution for one weight, its squared distance from the exact one below 0.2 % of one per frame."""
        size, bends = len(self.dual), np.diff(course, 2)
        if self.weight:
            ratio = 0.95 * weight / self.weight
            dual, upper, lower = self.dual * ratio, self.upper, self.lower
        else:
            dual, upper, lower = self.dual, self.upper, self.lower
        sharpness, step = 1e-10, np.inf
        for _ in range(MOST_STEPS):
            moved = _bend_back(dual)
            curved = np.diff(moved, 2)
            gap = moved @ moved + weight * np.abs(bends - curved).sum() - bends @ dual
            if gap <= 1e-3 * len(course):
                break
            above, below = dual - weight, -dual - weight
            if step >= 0.2:
                sharpness = max(4 * size / gap, 1.2 * sharpness)
            up, down = 1 / (sharpness * above), 1 / (sharpness * below)
            band = self.band.copy()
            band[2] -= upper / above + lower / below
            _, change, failed = dpbsv(band, bends - curved + up - down, overwrite_ab=True, overwrite_b=True)
            if failed:
                break
            upper_change = -(upper + up + change * upper / above)
            lower_change = -(lower + down - change * lower / below)
            # A step of 1 / longest would reach the border: of a multiplier above 0, or of the dual within the weight.
            shares = (-upper_change / upper, -lower_change / lower, -change / above, change / below)
            longest = max(float(share.max()) for share in shares)
            step = min(1.0, 0.99 / longest) if longest > 0 else 1.0
            dual = dual + step * change
            upper, lower = upper + step * upper_change, lower + step * lower_change
        self.dual, self.upper, self.lower, self.weight = dual, upper, lower, weight
        return course - _bend_back(dual)


def _bend_back(dual: Array) -> Array:
    """The transpose of taking second differences."""
    total = np.zeros(len(dual) + 2)
    total[:-2] += dual
    total[1:-1] -= 2 * dual
    total[2:] += dual
    return total
