"""A job on this machine, and the record that is kept of the instances it had."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime

from support.sites import TestSite, until

SCRIPT = 'sleep 0.2; cp "$NEUROCAAS_INPUT_DATA" "$NEUROCAAS_RESULTS/copy.txt"'
OUTPUT = {"copy": {"kind": "txt", "pattern": "copy.txt"}}
TO_THE_MILLISECOND = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_each_attempt_has_its_instance_on_record_to_the_millisecond(local_site: TestSite) -> None:
    local_site.price("3.6")
    local_site.analysis("copy", SCRIPT, outputs=OUTPUT)
    job = local_site("run", "copy", *local_site.data(2), "--out", local_site.folder / "out", "--json").json

    def recorded() -> bool:
        """Records follow at the manager's next sweep."""
        totals = local_site("hardware", "--json").json["totals"]
        return (totals["instances"], totals["running"]) == (2, 0)

    until(recorded)
    found = {one["instance"]: one for one in local_site("hardware", "--json").json["instances"]}
    attempts = [f"{job['job']}/{index}/1" for index in range(2)]
    assert sorted(found) == [f"local/{one}" for one in attempts]
    for one in found.values():
        assert one["attempts"] == [one["instance"].removeprefix("local/")]
        assert TO_THE_MILLISECOND.fullmatch(one["started_at"])
        assert TO_THE_MILLISECOND.fullmatch(one["ended_at"])
        whole = datetime.fromisoformat(one["ended_at"]) - datetime.fromisoformat(one["started_at"])
        assert one["seconds"] == whole.total_seconds() >= 0.2
        assert one["idle_seconds"] < one["seconds"]
        assert one["flags"] == []
    rows = list(csv.DictReader(io.StringIO(local_site("hardware", "--csv", "--since", "1h").out)))
    assert len(rows) == 2
    assert "2 instances, 0 running, 0 flagged." in local_site("hardware").out
    assert "0 instances" in local_site("hardware", "--flagged").out


def test_what_hardware_does_not_understand_is_refused_in_words(local_site: TestSite) -> None:
    assert "24h, 7d or a date" in local_site("hardware", "--since", "soon", expect=2).err
    assert "one of them is right" in local_site("hardware", "--csv", "--json", expect=2).out
