"""Penalized matrix decomposition of one movie: the workflow that blueprint.json names; pipeline.py does the work."""

from __future__ import annotations

import os
import sys

# One process per core does the work, each on one thread: so the results do not depend on the number of cores. The
# libraries read this when they are loaded, which is why the pipeline is imported afterwards.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1")

if __name__ == "__main__":
    from job import run
    from pipeline import main

    sys.exit(run(main))
