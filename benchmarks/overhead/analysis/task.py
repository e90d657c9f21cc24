"""Hash one dataset and write the digest. Bare: task.py DATASET RESULT; on the platform its variables say where."""

import hashlib
import os
import sys

if len(sys.argv) == 3:
    dataset, result = sys.argv[1:]
else:
    dataset = os.environ["NEUROCAAS_INPUT_DATASET"]
    result = os.path.join(os.environ["NEUROCAAS_RESULTS"], "digest.txt")  # noqa: PTH118  pathlib would add to each start

with open(dataset, "rb") as source:  # noqa: PTH123  the same
    digest = hashlib.file_digest(source, "sha256").hexdigest()
with open(result, "w") as target:  # noqa: PTH123  the same
    target.write(digest + "\n")
