"""`neurocaas export`: a real job, as a crate that the validator takes."""

from __future__ import annotations

import json
import zipfile

from support.sites import TestSite

COPY = 'cp "$NEUROCAAS_INPUT_DATA" "$NEUROCAAS_RESULTS/copy.txt"; echo done'
OUTPUT = {"copy": {"kind": "txt", "pattern": "copy.txt"}}


def test_a_job_is_exported_as_a_crate_whose_results_verify(local_site: TestSite) -> None:
    local_site.analysis("copy", COPY, outputs=OUTPUT)
    job = local_site("run", "copy", *local_site.data(2), "--out", local_site.folder / "out", "--json").json["job"]
    told = local_site("export", job, "--crate", "--json").json
    assert told == {"job": job, "crate": f"{job}-crate.zip"}
    crate = local_site.folder / "crate"
    assert str(crate) in local_site("export", job, "--crate", "--to", crate).out
    with zipfile.ZipFile(local_site.folder / told["crate"]) as archive:
        names = [path.relative_to(crate).as_posix() for path in crate.rglob("*") if path.is_file()]
        assert sorted(archive.namelist()) == sorted(names)
    assert (crate / "results" / "d001" / "copy.txt").read_text() == "dataset 1\n"
    local_site("verify", crate / "results" / "certificate.json", crate / "results")
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    assert [one["@id"] for one in graph if one["@type"] == "CreateAction"] == ["#stack/0", "#stack/1", "#job"]
    assert sorted(one.name for one in local_site.folder.iterdir() if one.name.startswith(".")) == []


def test_what_cannot_be_exported_is_refused_in_a_sentence(local_site: TestSite) -> None:
    local_site.analysis("slow", "sleep 60")
    job = local_site("submit", "slow", *local_site.data(), "--json").json["job"]
    refused = local_site("export", job, "--crate", expect=2)
    assert f"Job {job} has not ended" in refused.err
    local_site("cancel", job)
    local_site.wait(job)
    assert "--crate is right" in local_site("export", job, expect=2).err
    (local_site.folder / "there").write_text("mine")
    assert "is there already" in local_site("export", job, "--crate", "--to", "there", expect=2).err
    local_site("export", job, "--crate", "--to", "cancelled")
    assert "no job" in local_site("export", "99999999", "--crate", expect=3).err
