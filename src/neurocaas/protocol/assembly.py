"""From a plan to stacks that can be priced and run: every name in it looked up, every config checked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from neurocaas.blueprint import Blueprint, Family, Need
from neurocaas.documents import nearest
from neurocaas.errors import Refused
from neurocaas.protocol.plan import DataRef, Form, FromStacks, Plan, StackPlan, Step, Submission

MAX_STACKS = 100_000
LABEL_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True)
class Awaited:
    """An input that earlier stacks will have written.

    stacks: their indices in the job. output, pattern: the output's name, and which of their results it consists of.
    """

    name: str
    form: Form
    stacks: tuple[int, ...]
    output: str
    pattern: str


@dataclass(frozen=True, kw_only=True)
class PlannedStack:
    """One stack in full. `need`: of what is known of its inputs now; what earlier stacks write is not counted yet."""

    index: int
    step: str
    dataset_index: int
    dataset: str
    label: str
    folder: str
    inputs: tuple[DataRef, ...]
    awaited: tuple[Awaited, ...]
    quorum: int | None
    point: dict[str, Any]
    config: dict[str, Any]
    seed: int
    need: Need


def assemble(family: Family, submission: Submission, plan: Plan) -> list[PlannedStack]:
    """The stacks of the plan in order, each after those it waits for. Raises Refused for a plan that can't be run."""
    where = f"the plan of {family.version.short}"
    count = sum(len(step.stacks) for step in plan.steps)
    if not 0 < count <= MAX_STACKS:
        raise Refused(f"{where}: found {count:,} stacks; 1 to {MAX_STACKS:,} are right.")
    check_references(plan, where)
    names = {step.name for step in plan.steps}
    for label in {part for stack in plan.stacks for part in stack.label.split("/")} & names:
        raise Refused(f"{where}: label: found {label!r}, which is a step's name; another label is right.")
    assembling = _Assembling(family, submission, plan, where)
    return [stack for step in plan.steps for stack in assembling.step(step)]


def check_references(plan: Plan, where: str) -> None:
    """Raises Refused unless each step has a name of its own, and takes what stacks of earlier steps write, each once.

    Plans must pass this before they are laid on one another: positions mean something else afterwards.
    """
    counts: dict[str, int] = {}
    for step in plan.steps:
        if step.name in counts:
            raise Refused(f"{where}: two steps have one name; names of their own are right.")
        for position, stack in enumerate(step.stacks):
            for name, one in stack.sources.items():
                _check_reference(one, counts, f"{where}: {step.name}: stacks[{position}].inputs.{name}")
        counts[step.name] = len(step.stacks)


def _check_reference(one: FromStacks, counts: Mapping[str, int], where: str) -> None:
    if one.step not in counts:
        known = f" One of {', '.join(sorted(counts))} is right." if counts else ""
        raise Refused(f"{where}.step: found {one.step!r}, which is no earlier step.{known}")
    if max(one.stacks) >= (count := counts[one.step]):
        raise Refused(f"{where}.stacks: found {max(one.stacks)}; below {count} is right.")
    if twice := [position for position, times in Counter(one.stacks).items() if times > 1]:
        raise Refused(f"{where}.stacks: found {twice[0]} twice; each stack once is right.")


class _Assembling:
    def __init__(self, family: Family, submission: Submission, plan: Plan, where: str) -> None:
        self._family = family
        self._submission = submission
        self._starts = plan.starts()
        self._steps = {step.name: step for step in plan.steps}
        self._several = len(plan.steps) > 1
        self._labelled = any(stack.label for stack in plan.stacks)
        self._where = where
        self._folders: set[str] = set()
        self._above: set[str] = set()  # folders that hold those of stacks

    def step(self, step: Step) -> Iterator[PlannedStack]:
        where = f"{self._where}: {step.name}"
        try:
            family = self._family.find(step.analysis)
        except KeyError:
            known = list(self._family.children)
            raise Refused(f"{where}: analysis: there is no {step.analysis!r}.{nearest(step.analysis, known)}") from None
        blueprint = family.version.blueprint
        if blueprint.parts:
            raise Refused(f"{where}: analysis: {blueprint.name} consists of others; one that runs is right.")
        for position, stack in enumerate(step.stacks):
            yield self._stack(step, family, stack, position, f"{where}: stacks[{position}]")

    def _stack(self, step: Step, family: Family, stack: StackPlan, position: int, where: str) -> PlannedStack:
        if stack.dataset >= (count := len(self._submission.datasets)):
            raise Refused(f"{where}.dataset: found {stack.dataset}; below {count}, the number of datasets, is right.")
        dataset, blueprint = self._submission.datasets[stack.dataset], family.version.blueprint
        given = {one.name: one for one in dataset.inputs}
        if unknown := [name for name in stack.inputs if name not in blueprint.inputs]:
            listed = nearest(unknown[0], blueprint.inputs)
            raise Refused(f"{where}.inputs: {blueprint.name} has no input {unknown[0]!r}.{listed}")
        known = self._family.version.blueprint.inputs
        for name, one in stack.inputs.items():
            if isinstance(one, str) and one not in known:
                analysis = self._family.version.name
                raise Refused(f"{where}.inputs.{name}: {analysis} has no input {one!r}.{nearest(one, known)}")
        inputs = {
            name: given[one].model_copy(update={"name": name, "submitted_as": one})
            for name, one in stack.inputs.items()
            if isinstance(one, str) and one in given
        }
        awaited = tuple(
            self._awaited(name, one, blueprint, f"{where}.inputs.{name}") for name, one in stack.sources.items()
        )
        fed = inputs.keys() | {one.name for one in awaited}
        if missing := [name for name, one in blueprint.inputs.items() if one.required and name not in fed]:
            raise Refused(f"{where}.inputs.{missing[0]}: it is missing; {blueprint.name} requires it.")
        waited = {index for one in awaited for index in one.stacks}
        if stack.quorum is not None and stack.quorum > len(waited):
            raise Refused(
                f"{where}.quorum: found {stack.quorum}; at most {len(waited)}, the stacks before it, is right."
            )
        return PlannedStack(
            index=self._starts[step.name] + position,
            step=step.name,
            dataset_index=stack.dataset,
            dataset=dataset.name,
            label=stack.label,
            folder=self._folder(dataset.folder, stack.label, step.name),
            inputs=tuple(inputs.values()),
            awaited=awaited,
            quorum=stack.quorum,
            point=stack.point,
            config=family.complete_as(f"{where}.config", stack.config),
            seed=stack.seed,
            need=blueprint.hardware.need(sum(one.size_bytes for one in inputs.values())),
        )

    def _awaited(self, name: str, one: FromStacks, blueprint: Blueprint, where: str) -> Awaited:
        outputs = self._family.find(self._steps[one.step].analysis).version.blueprint.outputs
        if one.output not in outputs:
            raise Refused(f"{where}.output: {one.step} writes no {one.output!r}.{nearest(one.output, outputs)}")
        form = blueprint.inputs[name].form
        if len(one.stacks) > 1 and form != "folder":
            raise Refused(f"{where}: what several stacks wrote makes a folder; an input of form folder is right.")
        start = self._starts[one.step]
        return Awaited(
            name=name,
            form=form,
            stacks=tuple(start + position for position in one.stacks),
            output=one.output,
            pattern=outputs[one.output].pattern,
        )

    def _folder(self, dataset: str, label: str, step: str) -> str:
        """Where the stack's results lie below the job's: no two stacks in the same, none inside another's."""
        parts = [dataset, *map(_plain, filter(None, label.split("/")))]
        if self._several:
            parts += map(_plain, filter(None, step.split("/")))
        elif self._labelled and not label.strip("/"):
            parts.append("unlabelled")
        folder = ""
        for part in parts[:-1]:
            folder = _numbered(f"{folder}{part}", self._folders) + "/"
        folder = _numbered(f"{folder}{parts[-1]}", self._folders, self._above)
        self._folders.add(folder.casefold())
        self._above |= {str(one).casefold() for one in PurePosixPath(folder).parents}
        return folder


def _numbered(folder: str, *taken: Set[str]) -> str:
    """The folder, with a number behind it if its name is taken."""
    unique, number = folder, 1
    while any(unique.casefold() in ones for ones in taken):
        number += 1
        unique = f"{folder}-{number}"
    return unique


def _plain(label: str) -> str:
    """A label as the name of a folder."""
    return re.sub(r"[^\w=,.+@-]+", "_", label)[:LABEL_CHARACTERS].strip(".") or "_"
