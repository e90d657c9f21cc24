"""A certificate as a page for people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from neurocaas.certificate.facts import AttemptFacts, Facts, InputFacts, StackFacts
from neurocaas.certificate.seal import SEAL
from neurocaas.documents import parse
from neurocaas.reasons import REMEDY, Reason

WIDTH = 100
_LABEL = 14
_UNITS = ("B", "kB", "MB", "GB", "TB")

Row = tuple[str, str]


def as_text(certificate: dict[str, Any]) -> str:
    """The certificate as aligned text. It says what the JSON says; only the JSON is sealed. Raises `Refused`."""
    unsealed = {name: value for name, value in certificate.items() if name not in {"format", SEAL}}
    facts = parse(Facts, unsealed, "the certificate")
    parts = [
        ["NeuroCAAS certificate", "=" * WIDTH],
        _table(_about(facts)),
        _table(_settings("Parameters", facts.config)),
        _table([*_swept(facts), *_steps(facts), ("Software", f"neurocaas {facts.software.neurocaas}")]),
        *(_stack(stack, facts) for stack in facts.stacks),
        ["-" * WIDTH],
        _table(_sealed(certificate)),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _about(facts: Facts) -> list[Row]:
    job, analysis = facts.job, facts.analysis
    commit = f"git commit {analysis.git_commit}" if analysis.git_commit else "not from a git commit"
    if not analysis.committed:
        commit += "; the analysis was being edited (not committed) when it ran"
    succeeded = sum(stack.status == "succeeded" for stack in facts.stacks)
    return [
        ("Analysis", analysis.label),
        ("", f"version {analysis.version}"),
        ("", commit),
        ("Job", job.id),
        ("Who", f"{job.user or 'unknown user'}, group {job.group}, at {facts.site.name}"),
        ("Submitted", _time(job.submitted_at)),
        ("Started", _time(job.started_at)),
        ("Ended", _time(job.ended_at)),
        ("State", _state(job.status, job.reason)),
        ("Datasets", str(len(facts.datasets))),
        ("Stacks", f"{succeeded} of {len(facts.stacks)} succeeded"),
        ("Cost", f"{_dollars(facts.cost_dollars)} of at most {_dollars(job.bound_dollars)} ({job.price} price)"),
        ("Seed", str(facts.seed)),
    ]


def _swept(facts: Facts) -> list[Row]:
    """The points of a sweep, each on a line."""
    points = (
        ", ".join(f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in point.items())
        for point in facts.sweep
    )
    return _labelled("Sweep", points)


def _steps(facts: Facts) -> list[Row]:
    """For each step of the plan, its analysis version if it is not the job's own, and the environment it ran in."""
    rows = []
    for step in facts.steps:
        if step.version != facts.analysis.version:
            rows += [(f"Step {step.name}", step.label), ("", f"version {step.version}")]
        environment = step.environment
        built = environment.digest or "(not built here)"
        rows.append(("Environment", f"{environment.kind} {built} on {environment.platform}"))
    return rows


def _stack(stack: StackFacts, facts: Facts) -> list[str]:
    rows = [("State", _state(stack.status, stack.reason))]
    if origin := stack.reused_from:
        rows.append(("Reused", f"the results of job {origin.job}, stack {origin.stack}; it did not run again"))
        rows.append(("", f"environment {origin.environment}"))
    if stack.message:
        rows.append(("", stack.message))
    if remedy := REMEDY[stack.reason]:
        rows.append(("", remedy))
    if stack.config != facts.config:
        rows += _settings("Parameters", stack.config)
    if stack.seed != facts.seed:
        rows.append(("Seed", str(stack.seed)))
    rows += _labelled("Inputs", (_file(_named(one), one.size_bytes, one.sha256) for one in stack.inputs))
    rows += _labelled(
        "Outputs", (_file(f"{stack.folder}/{one.path}", one.size_bytes, one.sha256) for one in stack.outputs)
    )
    for attempt in stack.attempts:
        rows += _attempt(attempt)
    rows.append(("Cost", _dollars(stack.cost_dollars)))
    rows += _labelled("Metrics", (f"{name} {value:g}" for name, value in stack.metrics.items()))
    about = [stack.dataset, *([stack.step] if len(facts.steps) > 1 else []), *([stack.label] if stack.label else [])]
    title = f"Stack {stack.index} of {len(facts.stacks)}: {', '.join(about)}"
    return ["-" * WIDTH, _one_line(title), "", *_table(rows)]


def _named(one: InputFacts) -> str:
    stacks = ", ".join(map(str, one.from_stacks))
    return f"{one.name}: {one.filename}" + (f", which stack {stacks} wrote" if stacks else "")


def _attempt(attempt: AttemptFacts) -> list[Row]:
    instance, usage = attempt.instance, attempt.usage
    ended = "succeeded" if attempt.reason is Reason.NONE and attempt.exit_code == 0 else attempt.reason.value
    shape = f"{instance.vcpus} vCPU, {instance.memory_mib} MiB memory, {instance.gpus} GPU"
    rows = [
        (f"Attempt {attempt.number}", " ".join(filter(None, (ended, attempt.message)))),
        ("", f"{_time(attempt.started_at)} to {_time(attempt.ended_at)}, {_dollars(attempt.cost_dollars)}"),
        ("", f"on {instance.provider} {instance.type} ({shape}) at the {instance.price} price"),
    ]
    if host := instance.host:
        rows.append(("", f"host {host.hostname}, {host.platform}, {host.cpu_model}"))
    if sandbox := attempt.sandbox:
        rows.append(("", f"sandbox {sandbox.method}, identity {sandbox.identity}, limits {sandbox.limits}"))
    if usage:
        peaks = f"{_size(usage.peak_memory_bytes)} memory and {_size(usage.peak_storage_bytes)} storage"
        rows.append(("", f"used {usage.wall_seconds:.1f} s, {usage.cpu_seconds:.1f} CPU seconds, at most {peaks}"))
    return rows


def _sealed(certificate: dict[str, Any]) -> list[Row]:
    seal = certificate.get(SEAL, {})
    return [
        ("Sealed by", f"key {seal.get('key_id')} ({seal.get('algorithm')})"),
        ("Verify", "neurocaas verify certificate.json ."),
        ("", "in the folder of the results. This page is for reading; the seal covers certificate.json."),
    ]


def _settings(label: str, config: dict[str, Any]) -> list[Row]:
    width = max((len(name) for name in config), default=0)
    values = (f"{name:<{width}}  {json.dumps(value, ensure_ascii=False)}" for name, value in config.items())
    return _labelled(label, values) or [(label, "none")]


def _labelled(label: str, lines: Iterable[str]) -> list[Row]:
    return [("" if number else label, line) for number, line in enumerate(lines)]


def _file(name: str, size_bytes: int, sha256: str) -> str:
    return f"{name} ({_size(size_bytes)})\n  sha256 {sha256}"


def _table(rows: list[Row]) -> list[str]:
    """Label and text in two columns. What a person or workflow wrote may not start a line of its own."""
    return [
        f"{label if first else '':<{_LABEL}}{_one_line(line)}".rstrip()
        for label, text in rows
        for first, line in _numbered(text)
    ]


def _numbered(text: str) -> list[tuple[bool, str]]:
    return [(number == 0, line) for number, line in enumerate(text.split("\n"))]


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)


def _state(status: str, reason: Reason) -> str:
    return f"{status} ({reason.value})" if reason is not Reason.NONE else status


def _time(at: str | None) -> str:
    return at.replace("T", " ").replace("Z", " UTC") if at else "never"


def _dollars(amount: str) -> str:
    return f"${amount}"


def _size(size_bytes: int) -> str:
    amount, unit = float(size_bytes), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{size_bytes} B"
