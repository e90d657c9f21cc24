"""A served site: everything under one process, which may be told to end, or be killed, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

from support.served import MODULES, Served, served
from support.sites import TestSite, kill, until

SLOW = 'cp "$NEUROCAAS_INPUT_DATA" "$NEUROCAAS_RESULTS/copy.txt"; echo done'
OUTPUT = {"copy": {"kind": "txt", "pattern": "copy.txt"}}


def _running_job(site: TestSite, seconds: int = 6) -> str:
    site.analysis("slow", f"sleep {seconds}; {SLOW}", outputs=OUTPUT)
    job = site("submit", "slow", *site.data()).out.strip()
    until(lambda: [one["status"] for one in _show(site, job)["stacks"]] == ["running"])
    return job


def _show(site: TestSite, job: str) -> dict[str, Any]:
    described: dict[str, Any] = site("show", job, "--json").json
    return described


def _ends_once(site: TestSite, job: str) -> None:
    """By whoever serves: nothing here starts a manager."""
    until(lambda: _show(site, job)["status"] == "succeeded")
    (stack,) = _show(site, job)["stacks"]
    assert [one["status"] for one in stack["attempts"]] == ["succeeded"]


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_served_site_says_that_it_is_well_and_what_it_does(local_site: TestSite) -> None:
    with served(local_site, NEUROCAAS_METRICS_TOKEN="hush-hush") as site:
        site.wait_for_all()
        status, headers, _ = site.get("/healthz")
        assert status == 200
        assert len(headers["x-request-id"]) == 16
        health = site.health()
        assert {health[part] for part in ("status", "database", "store", "manager")} == {"ok"}
        assert health["disk_free_gib"] > 0
        figures = site.get("/metrics")[2]
        assert 'neurocaas_jobs{status="running"} 0.0' in figures
        assert "neurocaas_http_requests_total{" in figures
        # Who comes through a proxy is not this machine, and needs the token.
        assert site.get("/metrics", **{"X-Forwarded-For": "192.0.2.7"})[0] == 403
        assert site.get("/metrics", **{"X-Forwarded-For": "192.0.2.7", "Authorization": "Bearer wrong"})[0] == 403
        headers = {"X-Forwarded-For": "192.0.2.7", "Authorization": "Bearer hush-hush"}
        assert site.get("/metrics", **headers)[0] == 200
        site.get("/healthz?signature=hush-hush", Cookie="sessionid=hush-hush")
        _logs_are_json_without_secrets(site)
        for pid in (site.process.pid, *site.children().values()):
            assert b"hush-hush" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert site.end() == 0


def _logs_are_json_without_secrets(site: Served) -> None:
    logs = site.site.root / ".neurocaas" / "logs"
    requests = [
        line for line in map(json.loads, (logs / "web.log").read_text().splitlines()) if line["event"] == "request"
    ]
    assert {"request", "method", "path", "route", "status", "ms"} <= requests[0].keys()
    assert requests[-1]["path"] == "/healthz"
    for log in ("web.log", "serve.log", "manager.log", "housekeeping.log"):
        assert (logs / log).stat().st_mode & 0o777 == 0o600
        assert "hush-hush" not in (logs / log).read_text()
    assert "hush-hush" not in site.errors.read_text()


def test_a_site_is_served_once_and_a_taken_port_is_told(local_site: TestSite) -> None:
    with served(local_site) as site:
        again = local_site("serve", "--port", "0", expect=2)
        assert "is served already" in again.err
        assert site.url in again.err
    port = socket.create_server(("127.0.0.1", 0))
    with port:
        taken = local_site("serve", "--port", str(port.getsockname()[1]), expect=2)
    assert "can't be had: address already in use" in taken.err
    assert "can't be had" in local_site("serve", "--host", "no.such.host.invalid", "--port", "0", expect=2).err


def test_each_process_that_is_killed_is_started_again_and_a_running_job_ends_once(site: TestSite) -> None:
    with served(site) as running:
        running.wait_for_all()
        job = _running_job(site)
        for name in MODULES:
            victim = running.children()[name]
            kill(victim)
            running.wait_for_all(without=victim)
        _ends_once(site, job)
        assert running.end() == 0
    assert site("manager", "status", "--json").json["pid"] is None


def test_no_process_outlives_a_killed_supervisor_and_a_running_job_ends_once(local_site: TestSite) -> None:
    with served(local_site) as site:
        children = site.wait_for_all()
        job = _running_job(local_site, seconds=25)
        kill(site.process.pid)
        until(lambda: all(_gone(pid) for pid in children.values()))
        assert _runners(local_site), "the job's runner must live on"
    with served(local_site):
        _ends_once(local_site, job)


def test_a_job_that_runs_while_the_site_is_told_to_end_goes_on_and_is_adopted(local_site: TestSite) -> None:
    with served(local_site) as site:
        children = site.wait_for_all()
        job = _running_job(local_site, seconds=25)
        assert site.end(signal.SIGINT) == 0
        assert all(_gone(pid) for pid in children.values())
        assert _runners(local_site)
    with served(local_site):
        _ends_once(local_site, job)


def _runners(site: TestSite) -> list[int]:
    found = (site.root / ".neurocaas" / "work").glob("*/runner.json")
    pids = [json.loads(one.read_text())["pid"] for one in found]
    return [pid for pid in pids if not _gone(pid)]


def test_a_manager_that_a_command_started_makes_place(local_site: TestSite) -> None:
    job = _running_job(local_site)
    before = local_site.manager_pid()
    assert before is not None
    with served(local_site) as site:
        children = site.wait_for_all(without=before)
        until(lambda: local_site.manager_pid() == children["manager"])
        _ends_once(local_site, job)


def test_a_new_web_process_refuses_no_connection(local_site: TestSite) -> None:
    with served(local_site) as site:
        before = site.wait_for_all()
        answers: list[int] = []
        faults: list[str] = []
        enough = threading.Event()

        def ask() -> None:
            while not enough.is_set():
                try:
                    answers.append(site.get("/healthz")[0])
                except OSError as fault:
                    faults.append(repr(fault))

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        try:
            for _ in range(2):
                before = site.children()
                site.process.send_signal(signal.SIGHUP)
                until(lambda old=before["web"]: _gone(old) and "web" in site.children())
        finally:
            enough.set()
            for asker in askers:
                asker.join()
        assert faults == []
        assert set(answers) == {200}
        assert len(answers) > 50
        after = site.children()
        assert after["web"] != before["web"]
        assert (after["manager"], after["housekeeping"]) == (before["manager"], before["housekeeping"])


def test_what_dies_at_once_again_and_again_is_given_up_in_one_sentence(local_site: TestSite) -> None:
    local_site.variables["NEUROCAAS_STORE_URL"] = "nonsense://"
    answer = local_site("serve", "--port", "0", expect=70)
    (error,) = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert "ended 5 times in a row right after its start, last with exit status 1" in error
    assert "is not the address of a store" in answer.err


def test_systemd_is_told_when_the_site_answers_and_when_it_ends(local_site: TestSite) -> None:
    path = local_site.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(path))
        line.settimeout(60)
        with served(local_site, NOTIFY_SOCKET=str(path)) as site:
            assert line.recv(100) == b"READY=1"
            for pid in site.children().values():
                assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
            os.kill(site.process.pid, signal.SIGTERM)
            assert line.recv(100) == b"STOPPING=1"
            assert site.process.wait(30) == 0
