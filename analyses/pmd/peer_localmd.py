"""localmd 0.0.4 on a movie, for test_pmd.py and benchmarks/pmd.

    python peer_localmd.py MOVIE.npy OUT BLOCK_HEIGHT BLOCK_WIDTH

Writes OUT/denoised.npy, float32 (frames, height, width), and prints, as JSON, its seconds and rank. What localmd takes
from torch is one loop over chunks of frames (`torch.utils.data.DataLoader` without processes). torch is 3 to 5 GB to
fetch; the few lines below stand in for it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


class DataLoader:
    """Of items 0, 1, 2 ... in order, each put through collate_fn as a list of one."""

    def __init__(self, dataset: Any, *, batch_size: int, collate_fn: Any, num_workers: int, **_: Any) -> None:
        assert (batch_size, num_workers) == (1, 0)
        self.dataset, self.collate = dataset, collate_fn

    def __iter__(self) -> Iterator[Any]:
        return (self.collate([self.dataset[index]]) for index in range(len(self.dataset)))

    def __len__(self) -> int:
        return len(self.dataset)


def stand_in_for_torch() -> None:
    torch, utils, data, multiprocessing = (
        types.ModuleType(name) for name in ("torch", "torch.utils", "torch.utils.data", "torch.multiprocessing")
    )
    data.DataLoader = DataLoader  # type: ignore[attr-defined]
    torch.utils, utils.data, torch.multiprocessing = utils, data, multiprocessing  # type: ignore[attr-defined]
    sys.modules |= {module.__name__: module for module in (torch, utils, data, multiprocessing)}


def main(movie: Path, out: Path, block_height: int, block_width: int) -> None:
    stand_in_for_torch()
    np.random.seed(0)  # localmd draws its sketches from here
    from localmd.dataset import PMDDataset
    from localmd.decomposition import localmd_decomposition

    frames = np.load(movie, mmap_mode="r")

    class Movie(PMDDataset):
        @property
        def shape(self) -> tuple[int, int, int]:
            return (*frames.shape[1:], len(frames))

        def get_frames(self, indices: list[int]) -> Any:
            return np.asarray(frames[indices], np.float32).transpose(1, 2, 0)

    began = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):
        u, r, s, v, std, mean, shape, order = localmd_decomposition(
            Movie(),
            (block_height, block_width),
            (block_height // 2, block_width // 2),
            len(frames),
            max_components=50,
            background_rank=0,
            max_consec_failures=3,
        )
    seconds = time.monotonic() - began
    denoised = (u @ (r * s) @ v).reshape(*shape[:2], -1, order=order) * std[:, :, None] + mean[:, :, None]
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "denoised.npy", np.moveaxis(denoised, 2, 0).astype(np.float32))
    print(json.dumps({"seconds": seconds, "rank": int(np.count_nonzero(s > 1e-5 * s.max()))}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
