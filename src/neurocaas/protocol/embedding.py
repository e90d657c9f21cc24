"""Make the plan of one part of a composite analysis a piece of the composite's plan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from neurocaas.blueprint import Family
from neurocaas.blueprint.wiring import Wire
from neurocaas.protocol.plan import FromStacks, Plan, StackPlan, Step, Submission

Planner = Callable[[Family, Submission], Plan]


def embed(
    family: Family,
    name: str,
    step_name: str,
    submission: Submission,
    planner: Planner,
    before: Sequence[Step],
    *,
    label: str = "",
    quorum: int | None = None,
) -> list[Step]:
    """The steps of the part called `name`, as steps of the composite that come after `before`.

    label, quorum: what each of its stacks gets besides its own.
    """
    inner = planner(
        family.children[name],
        submission.model_copy(update={"config": family.config_of(name, submission.config)}),
    )
    wires = family.wires[name]
    written = _by_dataset(before)
    steps = []
    for step in inner.steps:
        stacks = tuple(
            stack.model_copy(
                update={
                    "label": _joined(label, stack.label),
                    "inputs": dict(_inputs(stack, wires, written, step_name)),
                    "quorum": stack.quorum or (quorum if _takes(stack, wires) else None),
                }
            )
            for stack in step.stacks
        )
        steps.append(Step(name=_joined(step_name, step.name), analysis=_joined(name, step.analysis), stacks=stacks))
    return steps


def merged(steps: Sequence[Step], more: Sequence[Step]) -> list[Step]:
    """Steps of two plans of the same shape, each with the stacks of both, the references of the second moved along."""
    if not steps:
        return list(more)
    moved = {step.name: len(step.stacks) for step in steps}
    return [
        one.model_copy(update={"stacks": (*one.stacks, *(shift(stack, moved) for stack in other.stacks))})
        for one, other in zip(steps, more, strict=True)
    ]


def shift(stack: StackPlan, by: Mapping[str, int]) -> StackPlan:
    """The stack with its references moved along, by so many positions in each step."""
    if not stack.sources:
        return stack
    moved = {
        name: one.model_copy(update={"stacks": tuple(position + by[one.step] for position in one.stacks)})
        for name, one in stack.sources.items()
    }
    return stack.model_copy(update={"inputs": {**stack.inputs, **moved}})


def _inputs(
    stack: StackPlan,
    wires: Mapping[str, Wire],
    written: Mapping[tuple[str, int], Sequence[int]],
    step_name: str,
) -> Iterator[tuple[str, str | FromStacks]]:
    """A stack's inputs in the composite's terms; optional ones that nothing feeds are left out."""
    for name, one in stack.inputs.items():
        if isinstance(one, FromStacks):
            yield name, one.model_copy(update={"step": _joined(step_name, one.step)})
        elif (wire := wires.get(one)) is None:
            continue
        elif wire.step:
            stacks = tuple(written[wire.step, stack.dataset])
            yield name, FromStacks(step=wire.step, stacks=stacks, output=wire.name)
        else:
            yield name, wire.name


def _takes(stack: StackPlan, wires: Mapping[str, Wire]) -> bool:
    """Whether an input of the stack comes from an earlier part."""
    return any(isinstance(one, str) and one in wires and wires[one].step for one in stack.inputs.values())


def _by_dataset(steps: Sequence[Step]) -> dict[tuple[str, int], list[int]]:
    """Positions in their step of the stacks of each step and dataset."""
    found: dict[tuple[str, int], list[int]] = defaultdict(list)
    for step in steps:
        for position, stack in enumerate(step.stacks):
            found[step.name, stack.dataset].append(position)
    return found


def _joined(first: str, second: str) -> str:
    return "/".join(filter(None, (first, second)))
