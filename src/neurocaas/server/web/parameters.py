"""A form made of a parameter schema: what each field shows, and the config that what people typed makes.

Whatever has no field of its own kind (a list, an object, several types) is one line or more of YAML.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import yaml

from neurocaas.blueprint.config_files import value_of
from neurocaas.blueprint.parameters import Config
from neurocaas.documents import shown
from neurocaas.errors import Refused
from neurocaas.protocol import short
from neurocaas.protocol.sweep import MAX_POINTS

VALUE, SWEPT = "p.", "s."  # what the names of form fields begin with
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"^\s*({_NUMBER})\s*:\s*({_NUMBER})(?:\s*:\s*({_NUMBER}))?\s*$")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One parameter. kind: integer, number, boolean, choice, text or yaml. text, swept: what is in its two inputs."""

    name: str
    kind: str
    title: str
    help: str
    unit: str
    default: str
    text: str
    swept: str
    right: str
    required: bool = False
    minimum: str = ""
    maximum: str = ""
    step: str = ""
    choices: Sequence[tuple[str, str]] = ()
    faults: Sequence[str] = ()

    @property
    def id(self) -> str:
        return "p-" + re.sub(r"[^A-Za-z0-9_-]", "-", self.name)

    @property
    def on(self) -> bool:
        return self.text == "true"


@dataclass(frozen=True, kw_only=True)
class Part:
    """The parameters of one part of a composite analysis; name is empty for an analysis' own."""

    name: str
    fields: Sequence[Field]


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What people typed, by parameter: one value, and the values of a sweep."""

    texts: Mapping[str, str] = field(default_factory=dict)
    swept: Mapping[str, str] = field(default_factory=dict)


def parts(schema: Mapping[str, Any], typed: Typed, faults: Mapping[str, Sequence[str]]) -> list[Part]:
    """The fields of a form, by part. A parameter that nothing was typed for shows its default."""
    fields = [
        _field(name, one, typed, required=name in schema.get("required", ()), faults=faults.get(name, ()))
        for name, one in properties(schema).items()
    ]
    grouped = groupby(fields, key=lambda one: one.name.rpartition(".")[0])
    return [Part(name=name, fields=list(some)) for name, some in grouped]


def properties(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = schema.get("properties", {})
    return found


def typed_of(schema: Mapping[str, Any], config: Mapping[str, Any], points: Sequence[Mapping[str, Any]] = ()) -> Typed:
    """What somebody would have typed to get this config, and this sweep if it is a whole grid."""
    known = properties(schema)
    texts = {name: text_of(config[name] if name in config else one.get("default"), one) for name, one in known.items()}
    swept: dict[str, list[Any]] = {}
    for point in points:
        for name, value in point.items():
            if value not in swept.setdefault(name, []):
                swept[name].append(value)
    return Typed(texts=texts, swept={name: ", ".join(map(_in_list, ones)) for name, ones in swept.items()})


def typed_in(schema: Mapping[str, Any], form: Mapping[str, str]) -> Typed:
    """What a submitted form says. A box that is not ticked is not sent, and so says false."""
    texts, swept = {}, {}
    for name, one in properties(schema).items():
        texts[name] = form.get(VALUE + name, "false" if kind_of(one) == "boolean" else "")
        swept[name] = form.get(SWEPT + name, "").strip()
    return Typed(texts=texts, swept=swept)


def config_in(schema: Mapping[str, Any], typed: Typed) -> Config:
    """The config that was typed; what was left empty is left out. Raises Refused for what is no YAML."""
    config: Config = {}
    faults: list[str] = []
    for name, one in properties(schema).items():
        text = typed.texts.get(name, "")
        kind = kind_of(one)
        if kind == "text" and (text or one.get("default")):
            config[name] = text.replace("\r\n", "\n")
        elif text.strip() and kind != "text":
            try:
                config[name] = value_of(text, f"config: {name}")
            except Refused as fault:
                # Not a number, say: told as the API tells it, of the text itself.
                if kind == "yaml":
                    faults.append(fault.message)
                else:
                    config[name] = text
    if faults:
        raise Refused("\n".join(faults))
    return config


def readable(schema: Mapping[str, Any], typed: Typed) -> Config:
    """The config that is shown now, defaults among it: as `config_in`, without what can't be read yet."""
    config: Config = {}
    for name, one in properties(schema).items():
        if "default" in one:
            config[name] = one["default"]
        with contextlib.suppress(Refused):
            config |= config_in({"properties": {name: one}}, typed)
    return config


def swept_in(schema: Mapping[str, Any], typed: Typed) -> dict[str, list[Any]]:
    """The values of each swept parameter. Raises Refused with a sentence for each fault."""
    values: dict[str, list[Any]] = {}
    faults: list[str] = []
    for name, one in properties(schema).items():
        if text := typed.swept.get(name, ""):
            try:
                values[name] = _values(text, kind_of(one), f"sweep: {name}")
            except Refused as fault:
                faults.append(fault.message)
    if faults:
        raise Refused("\n".join(faults))
    return values


def kind_of(one: Mapping[str, Any]) -> str:
    """Which field a parameter has."""
    if "enum" in one:
        return "choice"
    plain = {"integer": "integer", "number": "number", "boolean": "boolean", "string": "text"}
    kind = one.get("type")
    return plain.get(kind, "yaml") if isinstance(kind, str) else "yaml"


def text_of(value: Any, one: Mapping[str, Any]) -> str:
    """A value as its field shows it."""
    if value is None and "default" not in one:
        return ""
    if kind_of(one) == "text":
        return value if isinstance(value, str) else shown(value)
    return json.dumps(value, ensure_ascii=False)


def as_yaml(config: Mapping[str, Any]) -> str:
    """A config as people read and edit it."""
    if not config:
        return ""
    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, default_flow_style=False, width=100)


def _field(name: str, one: Mapping[str, Any], typed: Typed, *, required: bool, faults: Sequence[str]) -> Field:
    kind = kind_of(one)
    default = text_of(one["default"], one) if "default" in one else ""
    return Field(
        name=name,
        kind=kind,
        title=one.get("title") or name.rpartition(".")[2],
        help=one.get("description", ""),
        unit=one.get("unit", ""),
        default=default if kind != "choice" else short(one.get("default", "")),
        text=typed.texts.get(name, default),
        swept=typed.swept.get(name, ""),
        right=_right(one),
        required=required and "default" not in one,
        minimum=_number(one.get("minimum", one.get("exclusiveMinimum"))),
        maximum=_number(one.get("maximum", one.get("exclusiveMaximum"))),
        step=_number(one.get("multipleOf")) or ("1" if kind == "integer" else "any"),
        choices=[(json.dumps(each, ensure_ascii=False), short(each)) for each in one.get("enum", ())],
        faults=faults,
    )


def _right(one: Mapping[str, Any]) -> str:
    """What is right for a parameter, in a few words."""
    low, high = one.get("minimum"), one.get("maximum")
    above, below = one.get("exclusiveMinimum"), one.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    told = [
        f"{words} {_number(bound)}"
        for words, bound in (("at least", low), ("at most", high), ("above", above), ("below", below))
        if bound is not None
    ]
    return " and ".join(told)


def _number(value: Any) -> str:
    return "" if value is None else json.dumps(value)


def _in_list(value: Any) -> str:
    """A value in a list of them, as YAML reads it back."""
    return json.dumps(value, ensure_ascii=False)


def _values(text: str, kind: str, where: str) -> list[Any]:
    if kind not in {"integer", "number"}:
        found = value_of(f"[{text}]", where)
        return list(found)
    values: list[Any] = []
    for token in filter(str.strip, text.split(",")):
        match = _RANGE.match(token)
        values.extend(_range(match, token, where) if match else [value_of(token, where)])
    return list(dict.fromkeys(values)) if all(isinstance(one, int | float) for one in values) else values


def _range(match: re.Match[str], token: str, where: str) -> Iterator[int | float]:
    """`1:10` and `0:1:0.25`, both ends included."""
    start, end, step = (value_of(one, where) for one in (match[1], match[2], match[3] or "1"))
    if step <= 0 or end < start:
        raise Refused(f"{where}: found {token.strip()!r}; from:to:step with a step above 0, as in 0:1:0.25, is right.")
    count = int((end - start) / step + 1e-9) + 1
    if count > MAX_POINTS:
        raise Refused(f"{where}: {token.strip()} makes {count:,} values; at most {MAX_POINTS:,} are right.")
    for index in range(count):
        value = start + index * step
        yield value if isinstance(value, int) else float(f"{value:.12g}")
