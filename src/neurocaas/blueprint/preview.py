"""What runs before an analysis' set-up page, so that the page has something to show: one stack of one analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurocaas.blueprint.model import Blueprint
from neurocaas.blueprint.parameters import Config
from neurocaas.blueprint.wiring import check_kind
from neurocaas.errors import Refused

if TYPE_CHECKING:
    from neurocaas.blueprint.family import Family


@dataclass(frozen=True, kw_only=True)
class Preview:
    """family: what runs. inputs: the name of each of its inputs, and of that of the analysis with the page.

    step: its name if it is a step of that analysis, whose results then answer that step; "" if it is another analysis.
    """

    family: Family
    inputs: Mapping[str, str]
    step: str = ""

    def config(self, whole: Family, config: Mapping[str, Any]) -> Config:
        """Its complete config, out of the config of the analysis with the page. Raises Refused."""
        if self.step:
            return whole.config_of(self.step, config)
        known = self.family.parameters.get("properties", {})
        return self.family.complete({name: value for name, value in config.items() if name in known})

    def check(self, where: str) -> None:
        """Raises Refused if it is no single stack, or one whose results are not taken again."""
        blueprint = self.family.version.blueprint
        if blueprint.protocol.kind != "per_dataset":
            raise Refused(
                f"{where}: {blueprint.name} is more than one stack; an analysis that runs by itself is right."
            )
        if not blueprint.reproducible:
            raise Refused(f"{where}: {blueprint.name} is not reproducible; one whose results are reused is right.")


def same_inputs(own: Blueprint, other: Blueprint, where: str) -> dict[str, str]:
    """Which of an analysis' inputs feed those of another: by name, and the main one by the main one.

    Raises Refused if one that the other requires is fed by none, or by one of another kind.
    """
    inputs = {name: name for name in other.inputs if name in own.inputs}
    inputs.setdefault(other.main_input[0], own.main_input[0])
    for name, one in other.inputs.items():
        if name in inputs:
            check_kind(own.inputs[inputs[name]].kinds, one, where, inputs[name])
        elif one.required:
            raise Refused(f"{where}: {other.name} requires {name}, which is no input of {own.name}.")
    return inputs
