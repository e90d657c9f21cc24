"""A mask of a person's own: which pixels are analysed, if the atlas has them too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from job import Failure

Array = np.ndarray[Any, Any]


def read_mask(path: Path, height: int, width: int) -> Array:
    """(height, width) uint8, 1 where the file's array is not 0; a Failure that names the file if it is no mask."""
    try:
        given = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise Failure(f"The mask {path.name} can't be read as a .npy file.") from error
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "biuf":
        raise Failure(
            f"The mask {path.name} holds no array of real numbers; 0 outside of the brain and 1 in it is right."
        )
    if given.shape != (height, width):
        raise Failure(
            f"The mask {path.name} has the shape {_words(given.shape)}; the recording's frames are {height} x {width} "
            "(height x width), and the mask must be too."
        )
    mask: Array = (np.nan_to_num(given) != 0).astype(np.uint8)
    if not mask.any():
        raise Failure(f"The mask {path.name} is 0 everywhere; pixels that are analysed are not 0.")
    return mask


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "of a single number"
