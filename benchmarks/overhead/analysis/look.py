"""Look at one dataset without reading it: what remains of a job's time is the platform's own, staging included."""

import os

size_bytes = os.stat(os.environ["NEUROCAAS_INPUT_DATASET"]).st_size  # noqa: PTH116  pathlib would add to each start
with open(os.path.join(os.environ["NEUROCAAS_RESULTS"], "size.txt"), "w") as target:  # noqa: PTH118, PTH123  the same
    target.write(f"{size_bytes}\n")
