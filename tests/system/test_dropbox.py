"""Programs written for the original work against a site: what they write into a bucket becomes jobs and is answered."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from neurocaas.server.dropbox.hints import take_hint
from neurocaas.settings import read_settings
from support.s3 import BUCKET
from support.sites import NEUROCAAS, TestSite, make_site, until

PART = 5 << 20  # the least that S3 takes; the client's own are of 25 MiB
MINUTES = 4 * 60.0
REDUCE = r"""
python - <<'END'
import os, zipfile
def save(name, data):
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }" % len(data)
    head = head.ljust(117) + b"\n"
    with open(os.environ["NEUROCAAS_RESULTS"] + "/" + name, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data)
with zipfile.ZipFile(os.environ["NEUROCAAS_INPUT_DATA"]) as archive:
    (name,) = archive.namelist()
    movie = archive.read(name)
save("reduced_spatial.npy", movie[:100])
save("reduced_temporal.npy", movie[-100:])
END
"""
COUNT = 'wc -c < "$NEUROCAAS_INPUT_DATA" > "$NEUROCAAS_RESULTS/count.txt"'
# As the wfield client writes them.
WFIELD = {
    "block_height": 90,
    "block_width": 80,
    "frame_rate": 15,
    "max_components": 200,
    "num_sims": 64,
    "num_channels": 2,
    "overlapping": True,
    "window_length": 5400,
    "analysis_selection": "wfield-preprocess",
}


@dataclass
class Lab:
    """A site that watches drop-boxes in S3, and the group `lab` with nothing but a key to them."""

    site: TestSite
    s3: Any
    box: str
    watchers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def declare(self, **settings: Any) -> None:
        path = self.site.root / "site.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))
        (self.site.root / "groups").mkdir(exist_ok=True)
        (self.site.root / "groups" / "lab.json").write_text(json.dumps({"name": "lab"}))
        self.site.git("add", "--all")
        self.site.git("commit", "--quiet", "--message", "Declare a group and its drop-boxes")
        self.site("deploy")

    def watch(self) -> subprocess.Popen[bytes]:
        command = [str(NEUROCAAS), "--site", str(self.site.root), "dropbox", "watch"]
        with (self.site.folder / "watch.err").open("ab") as errors:
            self.watchers.append(
                subprocess.Popen(command, env=os.environ | self.site.variables, stdout=errors, stderr=errors)
            )
        return self.watchers[-1]

    def put(self, key: str, data: bytes | str, *, told: bool = True) -> None:
        """Write an object; S3 says so through EventBridge, unless the message is lost."""
        self.s3.put_object(Bucket=self.box, Key=key, Body=data)
        if told:
            self.tell(key)

    def tell(self, key: str) -> None:
        detail = {"bucket": {"name": self.box}, "object": {"key": key}}
        event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
        assert take_hint(read_settings(self.site.root), event)

    def keys(self, prefix: str = "") -> list[str]:
        """What the clients poll: everything below, page by page."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.box, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def read(self, key: str) -> str:
        return str(self.s3.get_object(Bucket=self.box, Key=key)["Body"].read().decode())

    def submissions(self) -> list[dict[str, Any]]:
        (box,) = self.site("dropbox", "list", "--count", "1000", "--json").json
        found: list[dict[str, Any]] = box["submissions"]
        return found

    def jobs(self) -> int:
        with contextlib.closing(sqlite3.connect(self.site.root / ".neurocaas" / "neurocaas.sqlite3")) as database:
            return int(database.execute("SELECT count(*) FROM jobs_job").fetchone()[0])

    def ends(self) -> list[str]:
        return [key for key in self.keys("lab/results/") if key.endswith("/process_results/end.txt")]

    def end(self) -> None:
        for one in self.watchers:
            one.kill()
            one.wait()
        self.site.end()


@pytest.fixture
def lab(local_site: TestSite, s3_endpoint: str) -> Iterator[Lab]:
    yield from _lab(local_site, s3_endpoint)


@pytest.fixture(params=["file", "s3"])
def lab_on_each_store(
    request: pytest.FixtureRequest, tmp_path: Path, shared_environments: Path, s3_endpoint: str
) -> Iterator[Lab]:
    store = {} if request.param == "file" else {"NEUROCAAS_STORE_URL": f"s3://{BUCKET}/{uuid.uuid4().hex}"}
    tmp_path.chmod(0o755)
    yield from _lab(make_site(tmp_path, shared_environments, **store), s3_endpoint)


def _lab(site: TestSite, endpoint: str) -> Iterator[Lab]:
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    box = f"wfield-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=box)
    lab = Lab(site=site, s3=client, box=box)
    try:
        yield lab
    finally:
        lab.end()


def _multipart(lab: Lab, key: str, data: bytes) -> None:
    named = {"Bucket": lab.box, "Key": key}
    upload = lab.s3.create_multipart_upload(**named)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(data), PART), 1):
        body = data[start : start + PART]
        sent = lab.s3.upload_part(**named, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    assert len(parts) == 2
    lab.s3.complete_multipart_upload(**named, UploadId=upload, MultipartUpload={"Parts": parts})


def test_the_wfield_client_gets_one_job_and_finds_its_files(lab_on_each_store: Lab) -> None:
    lab = lab_on_each_store
    properties = {name: {"description": name, "default": value} for name, value in WFIELD.items()}
    lab.site.analysis(
        "reduce",
        REDUCE,
        inputs={"data": {"title": "Movie", "form": "zip"}},
        parameters={"type": "object", "additionalProperties": False, "properties": properties},
    )
    lab.declare(dropboxes={"reduce": f"s3://{lab.box}"})
    lab.watch()
    packed = io.BytesIO()
    movie = os.urandom(8 << 20)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("frames_2_90_80_uint16.dat", movie)

    # The client's sequence, with nothing of its own left out: neither configname nor timestamp, and twice the same.
    submission = json.dumps({"dataname": "lab/inputs/mouse3/", "instance_type": "r5.16xlarge"})
    _multipart(lab, "lab/inputs/mouse3/mouse3.zip", packed.getvalue())
    lab.put("lab/inputs/mouse3/config.yaml", "".join(f"{name}: {json.dumps(one)}\n" for name, one in WFIELD.items()))
    lab.put("lab/inputs/mouse3/submit.json", submission)
    lab.put("lab/configs/mouse3/submit.json", submission)
    wanted = {f"lab/results/mouse3/{name}" for name in ("reduced_spatial.npy", "reduced_temporal.npy")}
    until(lambda: wanted <= set(lab.keys("lab/results/mouse3")), MINUTES)
    until(lambda: len(lab.ends()) == 1, MINUTES)

    spatial = lab.s3.get_object(Bucket=lab.box, Key="lab/results/mouse3/reduced_spatial.npy")["Body"].read()
    assert spatial[:6] + spatial[128:] == b"\x93NUMPY" + movie[:100]
    (one,) = lab.submissions()
    assert (one["outcome"], one["group"]) == ("succeeded", "lab")
    assert one["arrivals"] == ["lab/configs/mouse3/submit.json", "lab/inputs/mouse3/submit.json"]
    assert lab.jobs() == 1
    assert any(key.endswith("reduced_spatial.npy") for key in lab.keys("lab/configs/mouse3/results/"))
    _check_the_answer(lab, one)


def _check_the_answer(lab: Lab, one: dict[str, Any]) -> None:
    folder = f"lab/results/{one['name']}"
    status = json.loads(lab.read(f"{folder}/logs/DATASET_NAME:mouse3.zip_STATUS.txt"))
    assert (status["status"], status["input"]) == ("SUCCESS", "lab/inputs/mouse3/mouse3.zip")
    certificate = lab.read(f"{folder}/logs/certificate.txt")
    assert certificate.startswith("DATANAME: lab/inputs/mouse3/mouse3.zip | STATUS: SUCCESS | ")
    assert f"JOB ID: {one['job']}" in certificate
    assert "r5.16xlarge was asked for" in certificate
    assert "NeuroCAAS certificate" in certificate
    out = lab.site.folder / "out"
    for key in lab.keys(f"{folder}/process_results/"):
        if key.endswith(("/end.txt", "/update.txt")):
            continue  # the markers of the original, which no certificate knows
        path = out / key.removeprefix(f"{folder}/process_results/")
        path.parent.mkdir(parents=True, exist_ok=True)
        lab.s3.download_file(lab.box, key, str(path))
    lab.site("verify", out / "certificate.json", out)


DATA: dict[str, Any] = {
    "one-file": "lab/inputs/a.txt",
    "two-files": ["lab/inputs/a.txt", "lab/inputs/b.txt"],
    "folder": "lab/inputs/F/",
    "missing-file": "lab/inputs/none.txt",
    "one-missing": ["lab/inputs/a.txt", "lab/inputs/none.txt"],
}
CONFIGS: dict[str, str | None] = {
    "plain.yaml": "size: 4\n",
    "duration.yaml": "size: 4\n__duration__: 3\n",
    "dataset-size.json": '{"size": 4, "__dataset_size__": 1}',
    "both.yaml": "__duration__: 2\n__dataset_size__: 0.5\n",
    "broken.json": '{"size": ',
    "missing.yaml": None,
}
NO_FILE = "dataname: lab/inputs/none.txt: there is no such file."
REASONS = {
    "broken.json": "configname: lab/configs/broken.json: line 1: Expecting value",
    "missing.yaml": "configname: lab/configs/missing.yaml: there is no such file.",
}


def test_thirty_combinations_are_twelve_jobs_and_eighteen_refusals_each_with_its_reason(lab: Lab) -> None:
    lab.site.analysis("count", COUNT)
    lab.declare(dropboxes={"count": f"s3://{lab.box}"})
    for index, name in enumerate(("a.txt", "b.txt", "F/c.txt", "F/d.txt")):
        lab.put(f"lab/inputs/{name}", f"dataset {index}\n", told=False)
    for name, text in CONFIGS.items():
        if text is not None:
            lab.put(f"lab/configs/{name}", text, told=False)
    lab.watch()
    combinations = list(enumerate(product(DATA, CONFIGS), 1))
    for number, (data, config) in combinations:
        document = {"dataname": DATA[data], "configname": f"lab/configs/{config}", "timestamp": str(number)}
        lab.put(f"lab/submissions/{number}_submit.json", json.dumps(document))
    until(lambda: len(lab.ends()) == 30, MINUTES)

    outcomes = {one["name"]: one["outcome"] for one in lab.submissions()}
    admitted = 0
    for number, (data, config) in combinations:
        name = f"job__{lab.box}_{number}"
        certificate = lab.read(f"lab/results/{name}/logs/certificate.txt")
        reasons = [NO_FILE] * ("missing" in data)
        reasons += [REASONS[config]] if config in REASONS else []
        assert all(one in certificate for one in reasons), (data, config, certificate)
        assert outcomes[name] == ("refused" if reasons else "succeeded"), (data, config)
        admitted += not reasons
        if not reasons:
            results = lab.keys(f"lab/results/{name}/process_results/")
            assert sum(key.endswith("/count.txt") for key in results) == (1 if data == "one-file" else 2)
    assert (admitted, lab.jobs(), len(outcomes)) == (12, 12, 30)


def test_watchers_killed_again_and_again_start_each_job_once_and_answer_in_full(lab: Lab) -> None:
    lab.site.analysis("count", COUNT)
    lab.declare(dropboxes={"count": f"s3://{lab.box}"})
    lab.put("lab/configs/c.yaml", "size: 4\n", told=False)
    lab.put("lab/inputs/a.txt", "data\n", told=False)
    for number in range(9):
        document = {"dataname": "lab/inputs/a.txt", "configname": "lab/configs/c.yaml", "timestamp": number}
        # Every third is bad; every submission is at two places; and not one message arrives.
        document |= {"dataname": "lab/inputs/no.txt"} if number % 3 == 0 else {}
        for folder in ("submissions", "configs"):
            lab.put(f"lab/{folder}/{number}_submit.json", json.dumps(document), told=False)
    while len(lab.ends()) < 9:
        # Killed in the middle of writing, whenever three more files are there.
        enough = len(lab.keys("lab/results/")) + 3
        watcher = lab.watch()
        until(lambda enough=enough: len(lab.keys("lab/results/")) >= enough or len(lab.ends()) == 9, MINUTES)
        watcher.send_signal(signal.SIGKILL)
        watcher.wait()
    lab.site("dropbox", "watch", "--once")
    assert len(lab.watchers) > 3
    assert sorted(one["outcome"] for one in lab.submissions()) == ["refused"] * 3 + ["succeeded"] * 6
    assert all(one["answered"] and len(one["arrivals"]) == 2 for one in lab.submissions())
    assert lab.jobs() == 6
    assert len(lab.ends()) == 9


def test_data_and_results_may_be_in_buckets_of_a_users_own(lab: Lab) -> None:
    own, secret = (f"{name}-{uuid.uuid4().hex[:12]}" for name in ("own", "secret"))
    for bucket in (own, secret):
        lab.s3.create_bucket(Bucket=bucket)
        lab.s3.put_object(Bucket=bucket, Key="deep/data.txt", Body=b"12345")
        lab.s3.put_object(Bucket=bucket, Key="config.yaml", Body=b"size: 5\n")
    lab.site.analysis("count", COUNT)
    lab.declare(
        dropboxes={"count": f"s3://{lab.box}"}, fetching={"allowed_buckets": [own, lab.box]}, result_buckets=[own]
    )
    for number, bucket in enumerate((own, secret), 1):
        document = {
            "dataname": f"s3://{bucket}/deep/",
            "configname": f"s3://{bucket}/config.yaml",
            "resultpath": f"s3://{bucket}/results/here",
            "timestamp": number,
        }
        lab.put(f"lab/submissions/{number}_submit.json", json.dumps(document), told=False)
    lab.put("other/inputs/theirs.txt", "theirs", told=False)
    document = {"dataname": f"s3://{lab.box}/other/inputs/theirs.txt", "configname": f"s3://{own}/config.yaml"}
    lab.put("lab/submissions/3_submit.json", json.dumps(document | {"timestamp": 3}), told=False)
    lab.watch()
    until(lambda: len(lab.ends()) == 3, MINUTES)
    assert [one["outcome"] for one in reversed(lab.submissions())] == ["succeeded", "refused", "refused"]
    pages = lab.s3.list_objects_v2(Bucket=own, Prefix="results/")["Contents"]
    folder = f"results/here/job__{lab.box}_1"
    assert f"{folder}/data/count.txt" in {one["Key"] for one in pages}
    refused = lab.read(f"lab/results/job__{lab.box}_2/logs/certificate.txt")
    assert f"the bucket '{secret}' is none that this site reads" in refused
    assert f"the bucket '{secret}' is none that this site writes to" in refused
    assert "a key below lab/, the group's own folder, is right" in lab.read(
        f"lab/results/job__{lab.box}_3/logs/certificate.txt"
    )


def test_a_folder_works_as_a_bucket_does_and_the_command_line_says_what_came_of_it(local_site: TestSite) -> None:
    site, box = local_site, local_site.folder / "box"
    assert "has no drop-boxes" in site("dropbox", "list").out
    assert "dropboxes: found none in site.json" in site("dropbox", "watch", "--once", expect=2).err
    site.analysis("count", COUNT)
    path = site.root / "site.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dropboxes": {"count": box.as_uri()}}))
    (box / "local" / "inputs").mkdir(parents=True)
    (box / "local" / "inputs" / "a.txt").write_text("12345")
    (box / "local" / "inputs" / "config.yaml").write_text("size: 2\n")
    (box / "local" / "submissions").mkdir()
    for number, data in enumerate(("local/inputs/", "local/none.txt")):
        submission = box / "local" / "submissions" / f"{number}_submit.json"
        submission.write_text(json.dumps({"dataname": data, "timestamp": number}))
        os.utime(submission, (1_700_000_000, 1_700_000_000))
    ends = [box / f"local/results/job__box_{number}/process_results/end.txt" for number in (0, 1)]

    def answered() -> bool:
        site("dropbox", "watch", "--once")
        return all(one.is_file() for one in ends)

    until(answered)
    assert (box / "local/results/job__box_0/process_results/a/count.txt").read_text().strip() == "5"
    told = site("dropbox", "list").out
    assert f"count  {box.as_uri()}" in told
    assert "job__box_0  succeeded" in told
    assert "job__box_1  refused    dataname: local/none.txt: there is no such file." in told


def test_a_site_where_two_analyses_share_a_drop_box_is_told_so(local_site: TestSite) -> None:
    path = local_site.root / "site.json"
    boxes = {"a": "s3://one/box", "b": "s3://one/box/inside"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dropboxes": boxes}))
    told = local_site("dropbox", "list", expect=2).err
    assert "dropboxes" in told
    assert "a place of its own for each analysis, none inside another is right." in told
