"""Which module reads which kind of file, and with which libraries."""

from __future__ import annotations

from collections.abc import Callable

from neurocaas.comparison.reading import Source, Unreadable, reason_of
from neurocaas.comparison.verdict import Comparison, different
from neurocaas.errors import NeurocaasError

Compare = Callable[[Source, Source], Comparison]


def compare_here(expected: Source, found: Source) -> Comparison:
    """Compare two files, whose bytes are known to differ, by the kind that they are read as; in this process."""
    try:
        return reader_of(expected.kind)(expected, found)
    except Unreadable as fault:
        return different(str(fault))
    except NeurocaasError:
        raise
    # Some libraries read only when a value is touched, and then a damaged file makes them raise anything anywhere.
    except Exception as cause:  # noqa: BLE001
        return different(f"the files can't be compared as {expected.kind or 'bytes'}: {reason_of(cause)}")


def reader_of(kind: str) -> Compare:
    return KINDS[kind][1] if kind in KINDS else _text


def libraries_of(kind: str) -> tuple[str, ...]:
    return KINDS[kind][0] if kind in KINDS else ()


# Each family is imported when a file of its kind turns up: the libraries they need are an optional extra.
def _npy(expected: Source, found: Source) -> Comparison:
    from neurocaas.comparison.arrays import compare_npy

    return compare_npy(expected, found)


def _npz(expected: Source, found: Source) -> Comparison:
    from neurocaas.comparison.arrays import compare_npz

    return compare_npz(expected, found)


def _table(expected: Source, found: Source) -> Comparison:
    from neurocaas.comparison.tables import compare_tables

    return compare_tables(expected, found)


def _json(expected: Source, found: Source) -> Comparison:
    from neurocaas.comparison.trees import compare_json

    return compare_json(expected, found)


def _hdf5(expected: Source, found: Source) -> Comparison:
    from neurocaas.comparison.containers import compare_hdf5

    return compare_hdf5(expected, found)


def _mat(expected: Source, found: Source) -> Comparison:
    from neurocaas.comparison.matlab import compare_mat

    return compare_mat(expected, found)


def _tiff(expected: Source, found: Source) -> Comparison:
    from neurocaas.comparison.stacks import compare_tiff

    return compare_tiff(expected, found)


def _image(expected: Source, found: Source) -> Comparison:
    from neurocaas.comparison.images import compare_images

    return compare_images(expected, found)


def _movie(expected: Source, found: Source) -> Comparison:
    from neurocaas.comparison.movies import compare_movies

    return compare_movies(expected, found)


def _text(expected: Source, found: Source) -> Comparison:
    from neurocaas.comparison.text import compare_text

    return compare_text(expected, found)


KINDS: dict[str, tuple[tuple[str, ...], Compare]] = {
    ".npy": (("numpy",), _npy),
    ".npz": (("numpy",), _npz),
    ".csv": ((), _table),
    ".tsv": ((), _table),
    ".json": ((), _json),
    ".h5": (("numpy", "h5py"), _hdf5),
    ".hdf5": (("numpy", "h5py"), _hdf5),
    ".nwb": (("numpy", "h5py"), _hdf5),
    ".mat": (("numpy", "scipy", "h5py"), _mat),
    ".tif": (("numpy", "tifffile", "PIL"), _tiff),
    ".tiff": (("numpy", "tifffile", "PIL"), _tiff),
    ".png": (("numpy", "PIL"), _image),
    ".jpg": (("numpy", "PIL"), _image),
    ".jpeg": (("numpy", "PIL"), _image),
    ".mp4": (("numpy", "av"), _movie),
    ".avi": (("numpy", "av"), _movie),
    ".mov": (("numpy", "av"), _movie),
}
