"""The bundled composite of pca and kalman over its three sample recordings, as a newcomer runs it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sites import TestSite


@pytest.fixture
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A site as `neurocaas init` makes it."""
    folder = tmp_path_factory.mktemp("bundled")
    for above in (folder, folder.parent):
        above.chmod(0o755)
    site = TestSite(root=folder / "site", folder=folder)
    site("init", site.root)
    yield site
    site.end()
    subprocess.run(["chmod", "-R", "u+w", folder], check=False)


def test_three_recordings_through_pca_and_kalman(bundled: TestSite) -> None:
    data, out = bundled.folder / "data", bundled.folder / "out"
    bundled("sample", "pca-kalman", data)
    recordings = sorted(data.iterdir())
    assert len(recordings) == 3
    first = bundled("run", "pca-kalman", *recordings, "--out", out)
    assert re.search(r"Quote for pca-kalman@\w{12} on 3 datasets, 6 stacks:", first.err)
    for recording in recordings:
        assert (out / recording.stem / "pca" / "time_courses.npy").is_file()
        assert (out / recording.stem / "kalman" / "smoothed.csv").is_file()
    assert "certificate valid" in bundled("verify", out / "certificate.json", out).out

    started = time.monotonic()
    again = bundled("run", "pca-kalman", *recordings, "--out", out)
    seconds = time.monotonic() - started
    assert "6 of 6 stacks answered from job" in again.out

    changed = bundled("run", "pca-kalman", *recordings, "--out", out, "--set", "kalman.state_dim=3")
    assert "3 of 6 stacks answered from job" in changed.out
    assert "3 not: The parameter state_dim is 3; in job" in changed.out
    [sentence] = re.findall(r"kalman +3 stacks on local: .*", changed.err)
    assert "from 3 runs of" in sentence
    print(f"answered from earlier results in {seconds:.2f} s; {sentence.strip()}")


def test_a_certificate_of_before_an_edit_of_pca_is_reproduced_equally(bundled: TestSite) -> None:
    data, out = bundled.folder / "data", bundled.folder / "out"
    bundled("sample", "pca", data)
    bundled("run", "pca", data / "widefield.npy", "--out", out)
    workflow: Path = bundled.root / "analyses" / "pca" / "workflow.py"
    workflow.write_text(workflow.read_text().replace("float(found.variances", "2 * float(found.variances"))
    bundled.git("commit", "--quiet", "--all", "--message", "Edit pca")
    answer = bundled("reproduce", out / "certificate.json", "--json").json
    assert answer["verdict"] == "equal"
    assert len(answer["files"]) == 6
