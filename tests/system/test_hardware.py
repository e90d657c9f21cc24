"""A job on this machine, and the record that is kept of the instances it had."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from support.sites import TestSite, until


def test_each_attempt_of_a_job_has_its_instance_on_record(local_site: TestSite, tmp_path: Path) -> None:
    local_site.add_analysis("sleep 0.2; cp \"$NEUROCAAS_INPUT_DATA\" \"$NEUROCAAS_RESULTS/out.txt\"")
    data = []
    for index in range(2):
        data.append(tmp_path / f"{index}.txt")
        data[-1].write_text(str(index))
    local_site.cli("run", "shell", *data, "--out", tmp_path / "results")
    certificate = json.loads((tmp_path / "results" / "certificate.json").read_text())

    def ended() -> bool:
        told = json.loads(local_site.cli("hardware", "--json").stdout)
        return len(told["instances"]) == 2 and told["totals"]["running"] == 0

    until(ended)
