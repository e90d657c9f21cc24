"""An analysis version with those that it consists of: what a composite analysis asks of a user, as one form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from neurocaas.blueprint.model import Ensemble, Input, Part
from neurocaas.blueprint.parameters import Config, complete
from neurocaas.blueprint.preview import Preview, same_inputs
from neurocaas.blueprint.version import Version
from neurocaas.blueprint.wiring import Wire, Wires, check_kind, step_of, wire
from neurocaas.documents import nearest
from neurocaas.errors import Refused

MEMBERS, SUCCEED = "members", "succeed"


@dataclass(frozen=True, kw_only=True)
class Family:
    """`children`: the versions that this one's protocol names, each with its own, by the name it calls them.

    beside: the analysis whose results the set-up page shows, if that is none of the children.
    """

    version: Version
    children: Mapping[str, Family] = field(default_factory=dict)
    beside: Family | None = None

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of all that a user may set; a part's parameter is called `part.parameter`."""
        blueprint = self.version.blueprint
        if not blueprint.parts:
            return self.version.schema_of_parameters
        properties = _of_ensemble(blueprint.protocol) if isinstance(blueprint.protocol, Ensemble) else {}
        for name, part in blueprint.parts.items():
            properties |= {f"{name}.{key}": one for key, one in self._open(name, part).items()}
        return {"type": "object", "additionalProperties": False, "properties": properties}

    def complete(self, config: Mapping[str, Any]) -> Config:
        """`config` with every default filled in. Raises Refused: parameter, what was found, what would be right."""
        blueprint = self.version.blueprint
        if not blueprint.parts:
            return complete(self.version.schema_of_parameters, config)
        known = self.parameters["properties"]
        if unknown := [key for key in config if key not in known]:
            listed = f" Known: {', '.join(sorted(known))}."
            raise Refused(
                "\n".join(f"config: {key}: no such parameter.{nearest(key, known) or listed}" for key in unknown)
            )
        own = {key: one for key, one in self.parameters["properties"].items() if "." not in key}
        full = complete({"type": "object", "properties": own}, {key: config[key] for key in config if "." not in key})
        if MEMBERS in full and full[SUCCEED] > full[MEMBERS]:
            raise Refused(f"config: succeed: found {full[SUCCEED]}; at most {full[MEMBERS]}, the members, is right.")
        for name, part in blueprint.parts.items():
            full |= {
                f"{name}.{key}": value for key, value in self.config_of(name, config).items() if key not in part.config
            }
        return full

    def config_of(self, name: str, config: Mapping[str, Any]) -> Config:
        """The complete config of one part, out of the composite's."""
        part = self.version.blueprint.parts[name]
        given = {key.removeprefix(f"{name}."): value for key, value in config.items() if key.startswith(f"{name}.")}
        return self.children[name].complete_as(f"config: {name}", {**part.defaults, **given, **part.config})

    def complete_as(self, where: str, config: Mapping[str, Any]) -> Config:
        """As `complete`, with sentences that say of which part they speak."""
        try:
            return self.complete(config)
        except Refused as fault:
            sentences = (f"{where}.{one.removeprefix('config: ')}" for one in fault.message.splitlines())
            raise Refused("\n".join(sentences)) from None

    @cached_property
    def wires(self) -> dict[str, Wires]:
        """For each part, where each of its inputs comes from. Raises Refused if one comes from nowhere."""
        blueprint = self.version.blueprint
        wires = wire(blueprint, {name: child.version.blueprint for name, child in self.children.items()})
        for name, part in blueprint.parts.items():
            for key, source in part.inputs.items():
                if "." in source:
                    taker = self.children[name].version.blueprint.inputs[key]
                    wires[name][key] = self._deep_wire(source, taker, f"{blueprint.name}: {name}: inputs.{key}")
        return wires

    def find(self, path: str) -> Family:
        """The member of the family at a path such as `smooth` or `first/smooth`; "" is this one. Raises KeyError."""
        found = self
        for name in filter(None, path.split("/")):
            found = found.children[name]
        return found

    def check(self) -> None:
        """Raises Refused if the parts do not fit together, a part's fixed config or default is not right, or the
        set-up page has nothing to show."""
        self._check_parts()
        if self.preview:
            self.preview.check(self._where_preview)

    def _check_parts(self) -> None:
        if self.version.blueprint.parts:
            _ = self.wires
            self.complete({})
        for child in self.children.values():
            child._check_parts()  # pages of a part are not shown, so what they would show is its own concern

    @property
    def _where_preview(self) -> str:
        return f"{self.version.name}: pages.setup.preview"

    @cached_property
    def preview(self) -> Preview | None:
        """The run that comes before the set-up page; None without such a page. Raises Refused for one that can't be."""
        setup = self.version.blueprint.pages.setup
        if setup is None:
            return None
        own, where = self.version.blueprint, self._where_preview
        if own.preview_pin:
            if self.beside is None:
                raise Refused(f"{where}: found {setup.preview!r}, which is not to be had.")
            return Preview(family=self.beside, inputs=same_inputs(own, self.beside.version.blueprint, where))
        wires = self.wires[setup.preview]
        if taken := [f"{wire.step}.{wire.name}" for wire in wires.values() if wire.step]:
            raise Refused(
                f"{where}: {setup.preview} takes {taken[0]}; a step that takes inputs of {own.name} is right."
            )
        inputs = {name: wire.name for name, wire in wires.items()}
        return Preview(family=self.children[setup.preview], inputs=inputs, step=setup.preview)

    def descendants(self) -> Iterator[Family]:
        """All analyses that this one consists of, at any depth."""
        for child in self.children.values():
            yield child
            yield from child.descendants()

    @property
    def everyone(self) -> list[Family]:
        """This analysis and all that it names: what another site needs to do as this one does."""
        return [self, *self.descendants(), *([self.beside] if self.beside else [])]

    def _deep_wire(self, source: str, taker: Input, where: str) -> Wire:
        """The wire from an output of a part, or of a part of one, by a source such as `first.smooth.states`."""
        *path, output = source.split(".")
        family, steps = self, []
        for name in path:
            if name not in family.children:
                known = family.children or family.version.blueprint.outputs
                listed = f"{nearest(name, known)} One of {', '.join(known)} is right."
                raise Refused(f"{where}: found {source!r}; {family.version.name} has no {name!r}.{listed}")
            steps.append(step_of(family.version.blueprint, name))
            family = family.children[name]
        blueprint = family.version.blueprint
        if blueprint.parts:
            listed = ", ".join(f"{'.'.join(path)}.{name}" for name in blueprint.parts)
            raise Refused(f"{where}: found {source!r}; an output of one of {listed} is right.")
        if output not in blueprint.outputs:
            listed = f"{nearest(output, blueprint.outputs)} One of {', '.join(blueprint.outputs)} is right."
            raise Refused(f"{where}: found {source!r}; {blueprint.name} has no such output.{listed}")
        check_kind((f".{blueprint.outputs[output].kind}",), taker, where, source)
        return Wire(step="/".join(steps), name=output)

    def _open(self, name: str, part: Part) -> dict[str, Any]:
        """The parameters of a part that are left to the user, with the composite's own defaults."""
        known = self.children[name].parameters.get("properties", {})
        for key in (*part.config, *part.defaults):
            if key not in known:
                raise Refused(f"{self.version.name}: {name}: {key}: no such parameter.{nearest(key, known)}")
        return {
            key: one | ({"default": part.defaults[key]} if key in part.defaults else {})
            for key, one in known.items()
            if key not in part.config
        }


def _of_ensemble(protocol: Ensemble) -> dict[str, Any]:
    """The parameters that an ensemble has besides those of its parts."""
    whole = {"type": "integer", "minimum": 1, "maximum": 1000}
    return {
        MEMBERS: whole
        | {"default": protocol.members, "title": "Members", "description": "How many members work on each dataset."},
        SUCCEED: whole
        | {
            "default": protocol.succeed,
            "title": "Members that must succeed",
            "description": "How many members must succeed, at least, for a consensus to be made.",
        },
    }
