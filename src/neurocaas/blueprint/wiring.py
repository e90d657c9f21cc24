"""How the parts of a composite analysis fit together: each input is fed by name, or by the kind of file it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neurocaas.blueprint.model import Blueprint, Ensemble, Input
from neurocaas.documents import nearest
from neurocaas.errors import Refused


@dataclass(frozen=True, kw_only=True)
class Wire:
    """Where one input comes from: `step` "": the composite's own input called `name`; else an output of that step.

    step: a path, `first/smooth` for a part of a part.
    """

    step: str
    name: str


Wires = dict[str, Wire]


def wire(composite: Blueprint, parts: Mapping[str, Blueprint]) -> dict[str, Wires]:
    """The wires of every part, by the part's name and the input's.

    Raises Refused if an input comes from nowhere, from several outputs that fit alike, or from one of another kind.
    """
    found: dict[str, Wires] = {}
    before: list[str] = []
    for name in composite.parts:
        found[name] = dict(_wires_of(composite, parts, name, before))
        before.append(name)
    return found


def step_of(composite: Blueprint, name: str) -> str:
    """The name of the plan's step for a part: an ensemble's member fans out into members."""
    return "members" if isinstance(composite.protocol, Ensemble) and name == "member" else name


def _wires_of(
    composite: Blueprint, parts: Mapping[str, Blueprint], name: str, before: list[str]
) -> Iterator[tuple[str, Wire]]:
    declared, child = composite.parts[name].inputs, parts[name]
    where = f"{composite.name}: {name}: inputs"
    for unknown in sorted(declared.keys() - child.inputs.keys()):
        raise Refused(f"{where}.{unknown}: {child.name} has no such input.{nearest(unknown, child.inputs)}")
    for key, one in child.inputs.items():
        if key in declared:
            yield key, _declared(composite, parts, declared[key], one, f"{where}.{key}", before)
        elif (wire := _found(composite, parts, name, key, before)) is not None:
            yield key, wire


def _declared(
    composite: Blueprint, parts: Mapping[str, Blueprint], source: str, taker: Input, where: str, before: list[str]
) -> Wire:
    part, _, output = source.rpartition(".")
    if not part:
        if source not in composite.inputs:
            listed = f"{nearest(source, composite.inputs)} One of {', '.join(composite.inputs)} is right."
            raise Refused(f"{where}: found {source!r}, which is no input of {composite.name}.{listed}")
        check_kind(composite.inputs[source].kinds, taker, where, source)
        return Wire(step="", name=source)
    first, *_ = part.split(".")
    if first not in before:
        earlier = f"one of {', '.join(before)}" if before else f"an input of {composite.name}"
        raise Refused(f"{where}: found {source!r}, but {first} is no earlier step; {earlier} is right.")
    blueprint = parts[first]
    if not blueprint.parts:
        if output not in blueprint.outputs:
            listed = f"{nearest(output, blueprint.outputs)} One of {', '.join(blueprint.outputs)} is right."
            raise Refused(f"{where}: found {source!r}; {blueprint.name} has no such output.{listed}")
        check_kind((f".{blueprint.outputs[output].kind}",), taker, where, source)
    return Wire(step="/".join((step_of(composite, first), *part.split(".")[1:])), name=output)


def _found(composite: Blueprint, parts: Mapping[str, Blueprint], name: str, key: str, before: list[str]) -> Wire | None:
    """What feeds an input that the composite does not speak of; None for an optional one that nothing feeds.

    An output of the part before it feeds an input of its name. The main input is else fed by what that part writes of
    its kind; any other, and the main one if nothing fits, by the composite's input of the same name.
    """
    child, where = parts[name], f"{composite.name}: {name}: inputs.{key}"
    taker, is_main = child.inputs[key], child.main_input[0] == key
    written = parts[before[-1]].outputs if before else {}
    fitting = [output for output, one in written.items() if _fits((f".{one.kind}",), taker)]
    if key in fitting:
        return Wire(step=step_of(composite, before[-1]), name=key)
    fitting = [output for output in fitting if output not in child.inputs]
    if is_main and len(fitting) == 1:
        return Wire(step=step_of(composite, before[-1]), name=fitting[0])
    if key in composite.inputs and not (is_main and fitting):
        check_kind(composite.inputs[key].kinds, taker, where, key)
        return Wire(step="", name=key)
    if not taker.required:
        return None
    if not before:
        source, main = composite.main_input
        check_kind(main.kinds, taker, where, source)
        return Wire(step="", name=source)
    if len(fitting) == 1:
        return Wire(step=step_of(composite, before[-1]), name=fitting[0])
    choices = ", ".join(f"{before[-1]}.{output}" for output in fitting)
    what = f"{choices} fit alike; naming one of them" if fitting else f"nothing that {before[-1]} writes fits; a source"
    raise Refused(f"{where}: it is not said where it comes from, and {what} is right.")


def check_kind(kinds: tuple[str, ...], taker: Input, where: str, source: str) -> None:
    """Raises Refused if no file of these kinds is one that the taker may take."""
    if not _fits(kinds, taker):
        given, taken = ", ".join(kinds) or "no kind", ", ".join(taker.kinds)
        raise Refused(f"{where}: {source} gives {given}; a source of kind {taken} is right.")


def _fits(kinds: tuple[str, ...], taker: Input) -> bool:
    """Whether some file that the source may give is one that the taker may take. A folder takes anything."""
    return taker.form == "folder" or not taker.kinds or not kinds or bool({*kinds} & {*taker.kinds})
