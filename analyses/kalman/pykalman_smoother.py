"""pykalman with given parameters, for test_kalman.py. Usage: python pykalman_smoother.py OBSERVATIONS PARAMETERS OUT"""

import sys

import numpy as np
from pykalman import KalmanFilter

observations = np.load(sys.argv[1])
with np.load(sys.argv[2]) as known:
    smoother = KalmanFilter(
        transition_matrices=known["F"],
        observation_matrices=known["H"],
        transition_covariance=known["Q"],
        observation_covariance=known["R"],
        observation_offsets=known["d"],
        initial_state_mean=known["m0"],
        initial_state_covariance=known["P0"],
    )
filtered_means, filtered_covariances = smoother.filter(observations)
smoothed_means, smoothed_covariances = smoother.smooth(observations)
np.savez(
    sys.argv[3],
    filtered_means=np.asarray(filtered_means),
    filtered_covariances=np.asarray(filtered_covariances),
    smoothed_means=np.asarray(smoothed_means),
    smoothed_covariances=np.asarray(smoothed_covariances),
    log_likelihood=smoother.loglikelihood(observations),
)
