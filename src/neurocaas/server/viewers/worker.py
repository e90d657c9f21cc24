"""The program that opens a result file inside the sandbox: `python worker KIND FILE SELECTION`.

It prints one line of JSON, an `Answer` of `previews`, and behind it the numbers of the picture. It may use only what
its limits allow, and whoever reads what it prints trusts none of it.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurocaas.comparison.reading import Unreadable, reason_of
from neurocaas.server.viewers.kinds import KINDS, UNKNOWN
from neurocaas.server.viewers.readers.said import Said, Wanted, line, sentence_of

# Beyond these a library is told that there is no more, before the sandbox has to kill it.
DATA_BYTES = 1280 * 1024**2
CPU_SECONDS = 15
LONGEST_CELL = 16 * 1024**2
INSTALL = "pip install 'neurocaas[compare]'"
DOWNLOAD = "Download it to open it with a program of its own."

Show = Callable[[Path, str, Wanted], Said]


def main() -> None:
    kind, file, selection = sys.argv[1:]
    for limit, most in (
        (resource.RLIMIT_DATA, DATA_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    csv.field_size_limit(LONGEST_CELL)
    # Libraries print, and only the answer may come out where it is expected.
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)
        said = open_file(Path(file), kind, Wanted(**json.loads(selection)))
        header = {"preview": said.preview, "block": said.block}
        answer.write(json.dumps(header, allow_nan=False).encode() + b"\n" + said.numbers)


def open_file(path: Path, kind: str, wanted: Wanted) -> Said:
    """What is shown of this file; a sentence if nothing can be."""
    try:
        path.open("rb").close()
    except OSError as cause:
        return _not_shown(f"The server can't read the result file: {cause.strerror}.", lasting=False)
    try:
        return _reader(KINDS.get(kind, UNKNOWN).reader)(path, kind, wanted)
    except ImportError as cause:
        if cause.name is None or cause.name.partition(".")[0] == "neurocaas":
            raise
        sentence = f"Showing {kind} files needs the Python package {cause.name}, which the server lacks."
        return _not_shown(sentence, f"Its operator can install it: {INSTALL}", lasting=False)
    except Unreadable as fault:
        return _not_shown(sentence_of(fault), DOWNLOAD)
    except MemoryError:
        return _not_shown("Showing the result file needs more memory than a preview may take.", DOWNLOAD)
    # Some libraries read only when a value is touched, and then a damaged file makes them raise anything anywhere.
    except Exception as cause:  # noqa: BLE001
        return _not_shown(
            f"The result file can't be read as {kind or 'text'}: {line(reason_of(cause), 200)}.", DOWNLOAD
        )


def _not_shown(sentence: str, remedy: str = "", *, lasting: bool = True) -> Said:
    preview: dict[str, Any] = {"form": "not shown", "sentence": sentence, "remedy": remedy, "lasting": lasting}
    return Said(preview=preview)


def _reader(name: str) -> Show:
    """Each is imported when a file of its kind turns up: the libraries they need take long, and may be missing."""
    if name in ("npy", "npz"):
        from neurocaas.server.viewers.readers import numpy_files

        return numpy_files.show_npy if name == "npy" else numpy_files.show_npz
    if name == "hdf5":
        from neurocaas.server.viewers.readers.hdf5 import show_hdf5

        return show_hdf5
    if name == "mat":
        from neurocaas.server.viewers.readers.matlab import show_mat

        return show_mat
    if name in ("image", "tiff"):
        from neurocaas.server.viewers.readers import pictures

        return pictures.show_image if name == "image" else pictures.show_tiff
    if name == "movie":
        from neurocaas.server.viewers.readers.movies import show_movie

        return show_movie
    from neurocaas.server.viewers.readers import texts

    return {"table": texts.show_table, "json": texts.show_json}.get(name, texts.show_text)


if __name__ == "__main__":
    main()
