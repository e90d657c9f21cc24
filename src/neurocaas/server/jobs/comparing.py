"""The results that a certificate names beside those that were made again. Needs no database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocaas.certificate import Facts
from neurocaas.certificate.facts import StackFacts
from neurocaas.comparison import Comparison, Sameness, compare
from neurocaas.documents import parse
from neurocaas.storage import digest_file

Stored = Callable[[int, str], Path | None]  # a stack's index and a path to that first result, brought here


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One result: its path below the job's results, and how the new one compares with the first."""

    path: str
    comparison: Comparison


def machines(facts: Facts, again: Facts) -> list[str]:
    """A sentence for each step, on whether the new job had the same processors and threads as the first one.

    A sum over numbers depends on the order, which they decide; so results may differ by a little between machines.
    """
    found = []
    for step in facts.steps:
        before, now = _machines_of(facts, step.name), _machines_of(again, step.name)
        if before == now:
            found.append(f"{step.name}: on the same kind of machine, {now}.")
        else:
            found.append(f"{step.name}: on {now}; the first time on {before}.")
    return found


def _machines_of(facts: Facts, step: str) -> str:
    kinds = set()
    for stack in facts.stacks:
        if stack.step == step and stack.attempts:
            last = stack.attempts[-1].instance
            cpu = last.host.cpu_model if last.host else "an unknown processor"
            kinds.add(f"{last.provider} with {last.vcpus} thread{'s' * (last.vcpus != 1)} of {cpu}")
    return " and ".join(sorted(kinds)) or "an earlier job's machine"


def read_facts(certificate: Mapping[str, Any]) -> Facts:
    """What a certificate says. Raises Refused if it is none of this release."""
    unsealed = {name: value for name, value in certificate.items() if name not in {"format", "seal"}}
    return parse(Facts, unsealed, "the certificate")


def compare_results(
    facts: Facts, first: Path | None, stacks: Sequence[Mapping[str, Any]], results: Path, stored: Stored
) -> Iterator[Finding]:
    """Each result of the certificate beside that of the new job, whose stacks are described and results fetched.

    first: the folder with the first results, where somebody has it. What is not there is taken from what the site has
    stored of them; else digests are all there is to compare.
    """
    again = {one["index"]: one for one in stacks}
    for stack in facts.stacks:
        yield from _compare_stack(stack, again.get(stack.index), first, results, stored)


def _compare_stack(
    stack: StackFacts, again: Mapping[str, Any] | None, first: Path | None, results: Path, stored: Stored
) -> Iterator[Finding]:
    before = {one.path: one for one in stack.outputs}
    new = results / again["folder"] if again else results
    if again is not None and not before:
        if again["status"] == "succeeded":
            yield Finding(
                path=stack.folder, comparison=_different("It had no results the first time, and has some now.")
            )
        return
    if again is None or again["status"] != "succeeded":
        why = again["message"] if again else "the plan has no such stack any more"
        yield Finding(path=stack.folder, comparison=_different(f"It was not made again: {why}"))
        return
    for path, one in before.items():
        where = f"{stack.folder}/{path}"
        found = new / path
        if not found.is_file():
            yield Finding(path=where, comparison=_different("It was not written this time."))
            continue
        digest = digest_file(found)
        mine = first / stack.folder / path if first else None
        if mine is not None and mine.is_file() and (changed := digest_file(mine)).sha256 != one.sha256:
            told = compare(mine, found).detail if changed.sha256 != digest.sha256 else ""
            sentence = f"{mine} was altered after it was delivered. {told}".strip()
            yield Finding(path=where, comparison=_different(sentence))
        elif digest.sha256 == one.sha256:
            yield Finding(
                path=where, comparison=Comparison(verdict=Sameness.EQUAL, detail="the same bytes", largest=0.0)
            )
        else:
            expected = mine if mine is not None and mine.is_file() else stored(stack.index, path)
            missing = _different("Its bytes differ; the first result is not here, so nobody can say by how much.")
            yield Finding(path=where, comparison=compare(expected, found) if expected else missing)
    for extra in sorted(_files(new) - before.keys() - {"log.txt"}):
        yield Finding(path=f"{stack.folder}/{extra}", comparison=_different("It was not written the first time."))


def _different(sentence: str) -> Comparison:
    return Comparison(verdict=Sameness.DIFFERENT, detail=sentence, largest=None)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
