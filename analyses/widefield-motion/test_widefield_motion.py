"""widefield-motion on recordings whose motion is planted, in every format, on damaged files, within little memory."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.workflows import Array, Outcome, Workflow

HERE = Path(__file__).parent

Record = Callable[[str, object], None]

# Every file in a folder holds the same frames, whole and in pieces.
OPENED = """
import sys
from pathlib import Path
import numpy as np
from recording import open_recording
files = sorted(one for one in Path(sys.argv[1]).iterdir() if one.is_file())
frames = np.load(Path(sys.argv[1]) / "expected.npy")
for path in files:
    order = "sequential" if path.stem == "turned" else "interleaved"
    found = open_recording(path, frame_order=order, blue_channel=2 if path.stem == "violet_first" else 1)
    assert (found.times, found.shape, found.dtype) == (len(frames), frames.shape[2:], np.uint16), path
    for piece in (slice(0, len(frames)), slice(2, 5), slice(len(frames) - 1, len(frames))):
        np.testing.assert_array_equal(found.block(piece.start, piece.stop), frames[piece], err_msg=path.name)
print(len(files), "files")
"""


class Motion(Workflow[Outcome]):
    def __call__(self, recording: Path, *, memory_mib: int = 1024, cores: int = 2, **config: Any) -> Outcome:
        return self.run({"recording": recording}, config, cores=cores, memory_mib=memory_mib)


@pytest.fixture
def motion(analysis_python: Path, tmp_path: Path) -> Motion:
    return Motion(analysis_python, HERE, tmp_path, Outcome)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What sample/generate.py wrote."""

    folder: Path
    frames: Array  # (times, 2, height, width)
    truth: dict[str, Array]

    @property
    def recording(self) -> Path:
        (path,) = self.folder.glob("*.dat")
        return path


@pytest.fixture(scope="module")
def sample(analysis_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder = tmp_path_factory.mktemp("sample")
    generator = [analysis_python, "-B", HERE / "sample" / "generate.py", folder, "--size", "96", "112", "200"]
    # The sandbox in which the platform runs it has no home and nothing to write to but the folder.
    nowhere = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "TMPDIR": "/nonexistent"}
    subprocess.run([str(one) for one in generator], check=True, env=nowhere, cwd=folder)
    with np.load(folder / "truth.npz") as file:
        truth = dict(file)
    frames = np.fromfile(next(folder.glob("*.dat")), "<u2").reshape(-1, 2, 96, 112)
    return Sample(folder=folder, frames=frames, truth=truth)


def errors(shifts: Array, planted: Array) -> Array:
    """Distances in pixels, less one common offset: where a template lies is a matter of choice."""
    difference = shifts.astype(float) - planted
    left = difference - np.median(difference, axis=(0, 1))
    return np.hypot(left[..., 0], left[..., 1])


def test_shifts_are_within_a_tenth_of_a_pixel_of_the_planted_ones_and_of_wfields(
    motion: Motion, sample: Sample, tmp_path: Path, record_property: Record
) -> None:
    outcome = motion(sample.recording)
    found, planted = outcome.load("shifts.npy"), sample.truth["shifts"]
    peer = tmp_path / "peer"
    peer.mkdir()
    command = [str(motion.python), "-B", str(HERE / "peer_wfield.py"), str(sample.recording), str(peer), "30"]
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    # wfield makes a template of each channel at a place of its own, so its channels are compared one by one.
    others = np.load(peer / "shifts.npy")
    theirs = np.stack([errors(others[:, [c]], planted[:, [c]])[:, 0] for c in (0, 1)], axis=1)
    ours = errors(found, planted)
    seconds = json.loads((peer / "seconds.json").read_text())
    for name, value in {
        "largest planted shift (px)": np.hypot(planted[..., 0], planted[..., 1]).max(),
        "largest error (px)": ours.max(),
        "median error (px)": np.median(ours),
        "wfield: largest error (px)": theirs.max(),
        "wfield: median error (px)": np.median(theirs),
        "seconds, whole workflow": outcome.seconds,
        "wfield: seconds, motion alone": seconds["motion"],
    }.items():
        record_property(name, round(float(value), 4))
        print(f"{name}: {value:.4f}")
    assert ours.max() < 0.1
    assert outcome.summary["largest_shift_px"] == pytest.approx(np.hypot(*np.moveaxis(found, -1, 0)).max())


def test_a_smooth_field_without_vessels_is_registered_too(
    motion: Motion, tmp_path: Path, record_property: Record
) -> None:
    """Where unwindowed phase correlation fails: no sharp structure, and activity that flickers."""
    from scipy import ndimage

    random = np.random.default_rng(3)
    scene = 3000 * (1 + 0.2 * ndimage.gaussian_filter(random.normal(size=(140, 150)), 4) * 4 * np.sqrt(np.pi))
    planted = np.cumsum(random.normal(scale=0.5, size=(60, 2)), axis=0)
    flicker = ndimage.gaussian_filter(random.normal(size=(60, 140, 150)), (1, 15, 15))
    frames = np.empty((60, 2, 100, 110), np.uint16)
    for index, shift in enumerate(planted):
        light = ndimage.shift(scene * (1 + 0.05 * flicker[index] / flicker.std()), shift, order=3)[20:120, 20:130]
        frames[index] = random.poisson(np.maximum(np.stack([light, 0.6 * light]), 1))
    np.save(tmp_path / "smooth.npy", frames)
    outcome = motion(tmp_path / "smooth.npy", max_shift=15)
    worst = errors(outcome.load("shifts.npy"), np.stack([planted, planted], axis=1)).max()
    record_property("largest error on a smooth field (px)", round(float(worst), 4))
    assert worst < 0.1


def test_registered_frames_are_written_as_change_relative_to_the_mean(motion: Motion, sample: Sample) -> None:
    outcome = motion(sample.recording)
    corrected, mean, shifts = (outcome.load(f"{name}.npy") for name in ("corrected", "mean", "shifts"))
    times = len(sample.frames)
    assert corrected.shape == (2 * times, 96, 112)
    assert corrected.dtype == shifts.dtype == mean.dtype == np.float32
    assert shifts.shape == (times, 2, 2)
    for channel in (0, 1):
        part = corrected[channel * times : (channel + 1) * times]
        assert np.abs(part.mean(axis=0, dtype=float)).max() < 1e-4
        # A frame that is moved back looks like the mean; one left where it lay would not.
        worst = int(np.hypot(*sample.truth["shifts"][:, channel].T).argmax())
        still = sample.frames[worst, channel] / mean[channel] - 1
        inside = np.s_[16:80, 16:96]
        assert part[worst][inside].std() < 0.35 * still[inside].std()


def test_every_format_is_read_alike(motion: Motion, sample: Sample, tmp_path: Path) -> None:
    import h5py
    import tifffile

    frames = sample.frames[:8]
    row = frames.reshape(16, 96, 112)
    turned = np.concatenate([frames[:, 0], frames[:, 1]])
    (tmp_path / "mouse 7_2_96_112_uint16_0001.dat").write_bytes(frames.tobytes())
    np.save(tmp_path / "axis.npy", frames)
    np.save(tmp_path / "row.npy", row)
    np.save(tmp_path / "turned.npy", turned)
    np.save(tmp_path / "channels_first.npy", frames.transpose(1, 0, 2, 3))
    np.save(tmp_path / "violet_first.npy", frames[:, ::-1])
    tifffile.imwrite(tmp_path / "row.tif", row, photometric="minisblack")
    tifffile.imwrite(tmp_path / "imagej.tif", frames, imagej=True, metadata={"axes": "TCYX"})
    tifffile.imwrite(tmp_path / "packed.tiff", row, photometric="minisblack", compression="zlib")
    for name, array in (("row.h5", row), ("axis.hdf5", frames), ("channels_first.h5", frames.transpose(1, 0, 2, 3))):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("session/frames", data=array, chunks=True, compression="gzip")
            file["session/rate"] = 30.0
    np.save(tmp_path / "expected", frames)
    done = subprocess.run(
        [str(motion.python), "-B", "-c", OPENED, str(tmp_path)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "13 files"), done.stderr
    # And what is made of an axis of channels is made of a row.
    first, other = (motion(tmp_path / name) for name in ("axis.npy", "row.tif"))
    for name in ("corrected.npy", "shifts.npy", "mean.npy"):
        assert (first.results / name).read_bytes() == (other.results / name).read_bytes()


def test_one_core_and_two_give_the_same_bytes(motion: Motion, sample: Sample, tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", sample.frames[:40])
    one, two = (motion(tmp_path / "short.npy", cores=cores) for cores in (1, 2))
    names = sorted(path.name for path in one.results.iterdir())
    assert names == ["corrected.npy", "figure.png", "mean.npy", "shifts.npy", "summary.json"]
    for name in names:
        assert (one.results / name).read_bytes() == (two.results / name).read_bytes(), name


def test_memory_does_not_grow_with_the_recording(motion: Motion, tmp_path: Path, record_property: Record) -> None:
    random = np.random.default_rng(0)
    scene = random.integers(2000, 6000, (2, 192, 192)).astype(np.uint16)
    peaks = {}
    for times in (40, 400):
        path = tmp_path / f"long{times}_2_192_192_uint16.dat"
        with path.open("wb") as file:
            for _ in range(times):
                file.write(scene.tobytes())
        outcome = motion(path, memory_mib=300, cores=1)
        peaks[times] = outcome.peak_mib
        record_property(f"peak memory (MiB), {path.stat().st_size / 2**20:.0f} MiB of recording", round(peaks[times]))
        path.unlink()
        (outcome.results / "corrected.npy").unlink()
    print(peaks)
    assert peaks[400] < 300
    assert peaks[400] < peaks[40] + 40


def test_the_baseline_may_be_the_first_frames(motion: Motion, sample: Sample, tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", sample.frames[:50])
    outcome = motion(tmp_path / "short.npy", baseline_frames=10)
    corrected = outcome.load("corrected.npy")
    assert np.abs(corrected[:10].mean(axis=0, dtype=float)).max() < 1e-4
    assert np.abs(corrected[50:60].mean(axis=0, dtype=float)).max() < 1e-4
    assert np.abs(corrected[:50].mean(axis=0, dtype=float)).max() > 1e-3


def test_frames_without_resemblance_are_counted_and_said(motion: Motion, sample: Sample, tmp_path: Path) -> None:
    frames = sample.frames[:40].copy()
    frames[7] = np.random.default_rng(0).integers(2000, 4000, frames[7].shape)
    np.save(tmp_path / "broken.npy", frames)
    outcome = motion(tmp_path / "broken.npy")
    assert outcome.summary["time_points_that_match_badly"] == 1
    assert "1 time points match their mean image badly" in outcome.stdout
    assert np.isfinite(outcome.load("corrected.npy")).all()


def test_a_place_without_light_becomes_zero(motion: Motion, sample: Sample, tmp_path: Path) -> None:
    frames = sample.frames[:20].copy()
    frames[:, :, :10, :] = 0
    np.save(tmp_path / "masked.npy", frames)
    corrected = motion(tmp_path / "masked.npy").load("corrected.npy")
    assert np.isfinite(corrected).all()
    assert not corrected[:, :5].any()


def _write(path: Path, content: bytes | Array) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    return path


GOOD = np.full((4, 2, 20, 20), 100, np.uint16)
WITH_NAN = np.full((4, 2, 20, 20), np.nan, np.float32)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("movie.mp4", b"", "is not a recording; a .dat, .npy, .tif"),
        ("movie.dat", GOOD.tobytes(), "does not tell its shape"),
        ("movie_3_20_20_uint16.dat", GOOD.tobytes(), "has 3 channel"),
        ("movie_2_20_21_uint16.dat", GOOD.tobytes(), "no whole number of time points"),
        ("movie_2_0_20_uint16.dat", GOOD.tobytes(), "no whole number of time points"),
        ("odd.npy", GOOD.reshape(8, 20, 20)[:7], "holds 7 frames, an odd number"),
        ("flat.npy", GOOD.reshape(8, 400), "has the shape (8, 400)"),
        ("three.npy", np.zeros((4, 3, 20, 20)), "has the shape (4, 3, 20, 20)"),
        ("complex.npy", GOOD.astype(complex), "real numbers are needed"),
        ("fortran.npy", np.asfortranarray(GOOD), "Fortran order"),
        ("small.npy", GOOD[..., :9], "of 20 x 9 pixels"),
        ("single.npy", GOOD[:1], "holds 1 time points"),
        ("nan.npy", WITH_NAN, "not finite"),
        ("empty.npy", b"", "cannot be read as a .npy file"),
        ("text.tif", b"no tiff", "cannot be read as a .tif file"),
        ("text.h5", b"no hdf5", "cannot be read as a .h5 file"),
    ],
)
def test_bad_input_fails_by_name(motion: Motion, tmp_path: Path, name: str, content: Any, said: str) -> None:
    outcome = motion(_write(tmp_path / name, content))
    assert said in outcome.failure
    assert name in outcome.failure
    assert outcome.failure.endswith(".")


def test_files_cut_short_fail_by_name(motion: Motion, sample: Sample, tmp_path: Path) -> None:
    import h5py
    import tifffile

    frames = sample.frames[:10].reshape(20, 96, 112)
    np.save(tmp_path / "cut.npy", frames)
    tifffile.imwrite(tmp_path / "cut.tif", frames, photometric="minisblack")
    with h5py.File(tmp_path / "cut.h5", "w") as file:
        file["frames"] = frames
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"], file["b"] = frames, frames
    for name in ("cut.npy", "cut.tif", "cut.h5"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert name in motion(path).failure
    assert "the arrays a, b of three or four dimensions" in motion(tmp_path / "two.h5").failure


def test_a_baseline_longer_than_the_recording_is_refused(motion: Motion, sample: Sample, tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", sample.frames[:20])
    assert "fewer than the 30 of the baseline" in motion(tmp_path / "short.npy", baseline_frames=30).failure


def test_the_generators_atlas_is_that_of_the_overview() -> None:
    ours, theirs = HERE / "sample" / "schematic.json", HERE.parent / "widefield-overview" / "schematic.json"
    assert ours.read_bytes() == theirs.read_bytes()
    assert (HERE / "recording.py").read_bytes() == (HERE.parent / "widefield-overview" / "recording.py").read_bytes()


def test_the_blueprint_lists_every_module_the_workflow_needs() -> None:
    listed = set(json.loads((HERE / "blueprint.json").read_text())["workflow"]["files"])
    needed = {path.name for path in HERE.glob("*.py") if not path.name.startswith(("test_", "peer_"))}
    assert listed == needed | {"sample/schematic.json"}
