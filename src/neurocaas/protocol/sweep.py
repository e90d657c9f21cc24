"""The same plan at each point of a grid or list of parameters, with what the points share run once."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from neurocaas.blueprint import Family
from neurocaas.errors import Refused
from neurocaas.protocol.embedding import Planner
from neurocaas.protocol.plan import Plan, StackPlan, Step, Submission

MAX_POINTS = 10_000


def grid(values: Mapping[str, Sequence[Any]]) -> tuple[dict[str, Any], ...]:
    """Every combination of the values, the last parameter changing fastest. Raises Refused if there are too many."""
    count = 1
    for name, ones in values.items():
        if not ones:
            raise Refused(f"--sweep {name}: found no value; at least one is right.")
        count *= len(ones)
    if count > MAX_POINTS:
        raise Refused(f"--sweep: found {count:,} combinations; at most {MAX_POINTS:,} are right.")
    return tuple(dict(zip(values, ones, strict=True)) for ones in itertools.product(*values.values()))


def sweep(family: Family, submission: Submission, planner: Planner) -> Plan:
    """The plans of all points as one. Stacks that do not depend on what differs are shared between points.

    A stack's label says at which point it runs: the swept parameters that it depends on. Raises Refused for a point
    that is not right.
    """
    names = list(dict.fromkeys(name for point in submission.points for name in point))
    merging = _Merging(names)
    for point in submission.points:
        config = family.complete({**submission.config, **point})
        merging.add(planner(family, submission.model_copy(update={"config": config, "points": ()})), config)
    return merging.plan()


class _Merging:
    """Plans of the same shape, laid on one another: equal stacks of different points become one."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._steps: dict[str, Step] = {}
        self._stacks: dict[str, list[StackPlan]] = {}
        self._known: dict[str, int] = {}  # what makes a stack what it is -> its position in its step
        self._points: dict[tuple[str, int], list[dict[str, Any]]] = {}

    def add(self, plan: Plan, point: Mapping[str, Any]) -> None:
        moved: dict[tuple[str, int], int] = {}
        times: Counter[str] = Counter()
        for step in plan.steps:
            self._steps.setdefault(step.name, step)
            stacks = self._stacks.setdefault(step.name, [])
            for position, given in enumerate(step.stacks):
                stack = self._redirected(given, moved)
                key = f"{step.name}\0{stack.model_dump_json()}"
                times[key] += 1  # equal stacks of one plan stay apart
                key = f"{key}\0{times[key]}"
                if key not in self._known:
                    self._known[key] = len(stacks)
                    stacks.append(stack)
                moved[step.name, position] = self._known[key]
                values = {name: point[name] for name in self._names if name in point}
                self._points.setdefault((step.name, self._known[key]), []).append(values)

    def plan(self) -> Plan:
        return Plan(
            steps=tuple(
                step.model_copy(
                    update={
                        "stacks": tuple(
                            stack.model_copy(update=self._at(step.name, position, stack.label))
                            for position, stack in enumerate(self._stacks[step.name])
                        )
                    }
                )
                for step in self._steps.values()
            )
        )

    def _redirected(self, stack: StackPlan, moved: Mapping[tuple[str, int], int]) -> StackPlan:
        if not stack.sources:
            return stack
        sources = {
            name: one.model_copy(update={"stacks": tuple(moved[one.step, position] for position in one.stacks)})
            for name, one in stack.sources.items()
        }
        return stack.model_copy(update={"inputs": {**stack.inputs, **sources}})

    def _at(self, step: str, position: int, label: str) -> dict[str, Any]:
        """The swept parameters that are the same at all points which share the stack, and a label that begins so."""
        points = self._points[step, position]
        same = {
            name: one
            for name, one in points[0].items()
            if all(name in point and point[name] == one for point in points)
        }
        named = ",".join(f"{name}={_labelled(one)}" for name, one in same.items() if name in self._varying)
        return {"point": same, "label": "/".join(filter(None, (named, label)))}

    @cached_property
    def _varying(self) -> list[str]:
        """The swept parameters that have more than one value; asked for when all points are there."""
        points = [point for some in self._points.values() for point in some]
        return [name for name in self._names if any(point.get(name) != points[0].get(name) for point in points)]


def _labelled(value: Any) -> str:
    """A parameter's value as a part of a label: a slash would divide it, and a database keeps no zero byte."""
    return "".join(one if one.isprintable() and one != "/" else "_" for one in short(value))


def short(value: Any) -> str:
    """A parameter's value as people write it."""
    return value if isinstance(value, str) else json.dumps(value)
