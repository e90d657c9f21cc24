"""Answer a stack from an earlier run of the same thing, or say what differed (within one group only)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurocaas.blueprint import Version
from neurocaas.documents import digest_of, shown
from neurocaas.errors import Refused
from neurocaas.protocol import DataRef, PlannedStack
from neurocaas.server.jobs.delivered import Delivered, chunks, data_ref, delivered
from neurocaas.server.jobs.models import Stack
from neurocaas.server.jobs.pricing import StepRow
from neurocaas.server.jobs.status import Status

LOOKED_AT = 200  # earlier runs of an analysis that are compared when none is the same
FRESH = "It was asked for a fresh run."
NOT_REPRODUCIBLE = "The analysis says of itself that it is not reproducible."
STEP_BEFORE = "A step before has to run first."


@dataclass(kw_only=True)
class Found:
    """What is known of a plan's stacks, by index: their reuse keys, whose results answer them, or why none do.

    inputs: in full, of the stacks for which they are all known before anything ran.
    """

    keys: dict[int, str] = field(default_factory=dict)
    origins: dict[int, Stack] = field(default_factory=dict)
    why_not: dict[int, str] = field(default_factory=dict)
    inputs: dict[int, tuple[DataRef, ...]] = field(default_factory=dict)


def reuse_key(version: Version, inputs: Iterable[DataRef], config: Mapping[str, Any], seed: int) -> str:
    """What makes a stack's results what they are, as a digest; empty if the analysis is not reproducible.

    A workflow sees the names of its files, so they count too.
    """
    if not version.blueprint.reproducible:
        return ""
    seen = sorted([one.name, one.form == "folder", one.filename, one.sha256] for one in inputs)
    return digest_of({"execution": version.execution_digest, "inputs": seen, "config": config, "seed": seed})


def origins_of(group: str, reuse_keys: Sequence[str]) -> dict[str, Stack]:
    """The newest stack of the group that succeeded with each of these keys."""
    found: dict[str, Stack] = {}
    for some in chunks(sorted({one for one in reuse_keys if one})):
        ran = Stack.objects.filter(
            job__group_id=group, reuse_key__in=some, status=Status.SUCCEEDED, reused_from=None
        ).select_related("job", "step")
        found |= {one.reuse_key: one for one in ran.order_by("pk")}
    return found


def look_up(
    group: str,
    steps: Sequence[StepRow],
    stacks: Sequence[PlannedStack],
    *,
    fresh: bool,
    given: Mapping[int, Stack] | None = None,
) -> Found:
    """Look all stacks of a plan up, those first that wait for none. `given`: stacks whose origin is known already."""
    looking = _Looking(group, {step.name: step.version for step in steps}, fresh=fresh, given=given or {})
    waiting = list(stacks)
    while waiting:
        ready = [one for one in waiting if looking.answered(one)]
        if not ready:
            break
        looking.look(ready)
        done = {one.index for one in ready}
        waiting = [one for one in waiting if one.index not in done]
    for one in waiting:
        looking.found.why_not[one.index] = FRESH if fresh else STEP_BEFORE
    looking.explain(stacks)
    return looking.found


class _Looking:
    def __init__(self, group: str, versions: Mapping[str, Version], *, fresh: bool, given: Mapping[int, Stack]) -> None:
        self._group = group
        self._versions = versions
        self._fresh = fresh
        self._given = given
        self._delivered: dict[int, Delivered] = {}
        self.found = Found()

    def answered(self, stack: PlannedStack) -> bool:
        """Whether what the stack waits for is there already."""
        return all(index in self._delivered for one in stack.awaited for index in one.stacks)

    def look(self, stacks: Sequence[PlannedStack]) -> None:
        found = self.found
        for one in stacks:
            try:
                taken = tuple(data_ref(needed, [self._delivered[i] for i in needed.stacks]) for needed in one.awaited)
            except Refused as fault:
                found.why_not[one.index] = fault.message
                continue
            found.inputs[one.index] = (*one.inputs, *taken)
            found.keys[one.index] = reuse_key(self._versions[one.step], found.inputs[one.index], one.config, one.seed)
        known = {} if self._fresh else origins_of(self._group, list(found.keys.values()))
        for one in stacks:
            key = found.keys.get(one.index, "")
            if origin := self._given.get(one.index) or known.get(key):
                found.origins[one.index] = origin
            elif one.index in found.keys:
                found.why_not[one.index] = FRESH if self._fresh else "" if key else NOT_REPRODUCIBLE
        origins = {one.index: found.origins[one.index] for one in stacks if one.index in found.origins}
        files = delivered(list({one.pk: one for one in origins.values()}.values()))
        by_index = {one.index: one for one in stacks}
        for index, origin in origins.items():
            if origin.pk in files:
                was = files[origin.pk]
                label = by_index[index].label
                self._delivered[index] = Delivered(index=index, label=label, results=was.results, record=was.record)
            else:  # its results were deleted
                del found.origins[index]

    def explain(self, stacks: Sequence[PlannedStack]) -> None:
        """Say what differed from earlier runs, for the stacks of which only that is left to say."""
        unexplained = [one for one in stacks if self.found.why_not.get(one.index) == ""]
        for name in {self._versions[one.step].name for one in unexplained}:
            earlier = _earlier(self._group, name)
            for one in unexplained:
                if self._versions[one.step].name == name:
                    inputs = self.found.inputs[one.index]
                    self.found.why_not[one.index] = _difference(one, inputs, self._versions[one.step], earlier)


def why_not(group: str, version: Version, stack: Stack, inputs: Sequence[DataRef]) -> str:
    """What differed from earlier runs, for a stack that is in the database already."""
    return _difference(stack, inputs, version, _earlier(group, version.name))


def _earlier(group: str, analysis: str) -> dict[str, list[Stack]]:
    """The newest runs of an analysis that succeeded, by dataset, and under "" all of them; the newest first."""
    ran = Stack.objects.filter(
        job__group_id=group, step__analysis=analysis, status=Status.SUCCEEDED, reused_from=None
    ).select_related("step")
    found: dict[str, list[Stack]] = defaultdict(list)
    for one in ran.order_by("-pk")[:LOOKED_AT]:
        found[one.dataset].append(one)
        found[""].append(one)
    return found


def _difference(
    stack: PlannedStack | Stack, inputs: Sequence[DataRef], version: Version, earlier: Mapping[str, list[Stack]]
) -> str:
    """The first thing that differs from the earlier run that is most like this one."""
    candidates = (earlier.get(stack.dataset) or earlier.get("", []))[:20]
    if not candidates:
        return f"{version.name} has not succeeded here before."
    closest = min((_differences(stack, inputs, version, one) for one in candidates), key=len)
    return closest[0] if closest else "The earlier results are no longer there."


def _differences(stack: PlannedStack | Stack, inputs: Sequence[DataRef], version: Version, earlier: Stack) -> list[str]:
    job = earlier.job_id
    found = []
    if earlier.step.execution_digest != version.execution_digest:
        was = f"{version.name}@{earlier.step.version[:12]}"
        found.append(f"The analysis is {version.short}; in job {job} it was {was}.")
    before = {one["name"]: one for one in earlier.inputs}
    now = {one.name: one for one in inputs}
    for name in sorted(before.keys() | now.keys()):
        if name not in before or name not in now:
            found.append(
                f"The input {name} is {'given' if name in now else 'not given'}; in job {job} it was otherwise."
            )
        elif before[name]["sha256"] != now[name].sha256:
            found.append(f"The input {name} ({now[name].filename}) has other contents than in job {job}.")
        elif before[name]["filename"] != now[name].filename:
            found.append(
                f"The input {name} is called {now[name].filename}; in job {job} it was {before[name]['filename']}."
            )
    for name in sorted(stack.config.keys() | earlier.config.keys()):
        if stack.config.get(name) != earlier.config.get(name):
            is_, was = shown(stack.config.get(name)), shown(earlier.config.get(name))
            found.append(f"The parameter {name} is {is_}; in job {job} it was {was}.")
    if stack.seed != earlier.seed:
        found.append(f"The seed is {stack.seed}; in job {job} it was {earlier.seed}.")
    return found
