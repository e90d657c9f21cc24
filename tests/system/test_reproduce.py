"""A certificate is enough to have the same again, and to be told whether it is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.sites import TestSite

SCRIPT = """
read -r word number < "$NEUROCAAS_INPUT_DATA"
echo "word,value" > "$NEUROCAAS_RESULTS/table.csv"
echo "$word,$number.25" >> "$NEUROCAAS_RESULTS/table.csv"
echo "$NEUROCAAS_SEED" > "$NEUROCAAS_RESULTS/seed.txt"
"""
OUTPUTS = {"table": {"kind": "csv", "pattern": "table.csv"}}


@pytest.fixture
def delivered(local_site: TestSite) -> TestSite:
    """A site with a job whose results lie in `out`, and whose analysis was edited since."""
    local_site.analysis("table", SCRIPT, outputs=OUTPUTS)
    out = local_site.folder / "out"
    local_site("run", "table", *local_site.data(2), "--seed", "7", "--out", out)
    local_site.analysis("table", SCRIPT.replace(".25", ".75"), outputs=OUTPUTS)
    return local_site


def _reproduce(site: TestSite, *options: str | Path, expect: int) -> dict[str, object]:
    answer = site("reproduce", site.folder / "out" / "certificate.json", "--json", *options, expect=expect)
    found: dict[str, object] = answer.json
    return found


def test_what_ran_before_an_edit_is_reproduced_equally(delivered: TestSite) -> None:
    found = _reproduce(delivered, expect=0)
    assert found["verdict"] == "equal"
    assert [one["path"] for one in found["files"]] == [  # type: ignore[attr-defined]
        f"d00{index}/{name}" for index in (0, 1) for name in ("seed.txt", "table.csv")
    ]
    assert "the same environment" in str(found["environments"])
    assert "table: on the same kind of machine, local with 1 thread of" in str(found["machines"])
    assert (delivered.folder / "reproduced" / "d001" / "table.csv").read_text() == "word,value\ndataset,1.25\n"
    assert (delivered.folder / "reproduced" / "d001" / "seed.txt").read_text() == "7\n"


def test_one_changed_number_is_found_with_its_size(delivered: TestSite) -> None:
    table = delivered.folder / "out" / "d001" / "table.csv"
    table.write_text("word,value\ndataset,3.5\n")
    found = _reproduce(delivered, expect=10)
    assert found["verdict"] == "different"
    details = {one["path"]: (one["verdict"], one["detail"]) for one in found["files"]}  # type: ignore[attr-defined]
    verdict, detail = details["d001/table.csv"]
    assert verdict == "different"
    assert "was altered after it was delivered" in detail
    assert "2.25" in detail  # 3.5 was found in the folder, 1.25 was computed
    assert details["d000/table.csv"] == ("equal", "the same bytes")


def test_missing_data_is_asked_for_by_name_and_digest_and_found_by_its_content(delivered: TestSite) -> None:
    data = delivered.folder / "data" / "d001.txt"
    certificate = json.loads((delivered.folder / "out" / "certificate.json").read_text())
    digest = certificate["datasets"][1]["inputs"][0]["sha256"]
    kept = delivered.folder / "archive" / "deep"
    kept.mkdir(parents=True)
    data.rename(kept / "renamed.bin")
    refused = delivered("reproduce", delivered.folder / "out" / "certificate.json", expect=2).err
    assert f"data: data 'd001.txt' (10 bytes, sha256 {digest}) is not known here." in refused
    assert "--data DIR" in refused
    assert _reproduce(delivered, "--data", delivered.folder / "archive", expect=0)["verdict"] == "equal"


def test_what_can_not_be_reproduced_is_refused_in_words(delivered: TestSite) -> None:
    path = delivered.folder / "out" / "certificate.json"
    altered = path.with_name("altered.json")
    altered.write_text(path.read_text().replace('"seed": 7,', '"seed": 8,', 1))
    assert "The certificate was altered" in delivered("reproduce", altered, expect=4).err
    (delivered.folder / "note.json").write_text("{}")
    assert "not a certificate" in delivered("reproduce", delivered.folder / "note.json", expect=2).err
    delivered.analysis("fails", "exit 1")
    delivered("run", "fails", *delivered.data(1), "--out", delivered.folder / "failed", expect=1)
    failed = delivered("reproduce", delivered.folder / "failed" / "certificate.json", expect=2).err
    assert "has no results, so there is nothing to compare with" in failed
