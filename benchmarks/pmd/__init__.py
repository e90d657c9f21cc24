"""Penalized matrix decomposition: throughput at three sizes, on one core and two, and memory, beside localmd."""
