"""Parameters: a JSON Schema with defaults, units and help; a config is checked against it and made complete."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema_rs

from neurocaas.documents import nearest, shown
from neurocaas.errors import Refused

Config = dict[str, Any]


def check_schema(schema: Any, name: str) -> None:
    """Refuse a parameter schema that is not one: its faults name the JSON path below `name`."""
    if not isinstance(schema, dict):
        raise Refused(f"{name}: found {shown(schema)}; a JSON Schema object is right.")
    if not schema:
        return
    try:
        jsonschema_rs.meta.validate(schema)
    except jsonschema_rs.ValidationError as cause:
        raise Refused(f"{name}: {_path(cause.instance_path)}: {cause.message}.") from cause
    if schema.get("type") != "object":
        raise Refused(f'{name}: type: found {shown(schema.get("type"))}; "object" is right.')
    for key, one in schema.get("properties", {}).items():
        _check_property(key, one, f"{name}: properties.{key}")


def _check_property(key: str, one: Any, where: str) -> None:
    if not isinstance(one, dict) or not one.get("description"):
        raise Refused(f"{where}.description: it is missing; a sentence that says what {key} does is right.")
    if "default" not in one:
        return
    if not _validator(one).is_valid(one["default"]):
        raise Refused(f"{where}.default: found {shown(one['default'])}; {_right(one)} is right.")


def complete(schema: Mapping[str, Any], config: Mapping[str, Any], name: str = "config") -> Config:
    """`config` with every default filled in. Raises Refused: parameter, what was found, what would be right."""
    known: Mapping[str, Any] = schema.get("properties", {})
    unknown = [key for key in config if key not in known]
    if unknown:
        listed = f"Known: {', '.join(sorted(known))}." if known else "This analysis has no parameters."
        sentences = [f"{name}: {key}: no such parameter.{nearest(key, known) or ' ' + listed}" for key in unknown]
        raise Refused("\n".join(sentences))
    full = {key: one["default"] for key, one in known.items() if "default" in one} | dict(config)
    for key, value in full.items():
        if not _is_json(value):
            raise Refused(f"{name}: {key}: found {value}; a finite number, text, true, false or a list is right.")
    if not schema:
        return full
    faults = sorted(_validator(dict(schema)).iter_errors(full), key=lambda one: one.message)
    if faults:
        raise Refused("\n".join(_fault(fault, known, name) for fault in faults))
    return full


def _validator(schema: dict[str, Any]) -> Any:
    """A validator that follows no reference out of the document: a schema must not make the platform fetch a URL."""
    return jsonschema_rs.validator_for(schema, retriever=_refuse_reference)


def _refuse_reference(uri: str) -> Any:
    raise Refused(f"parameters: $ref {uri} points out of the document; a reference such as #/$defs/x is right.")


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _fault(fault: Any, known: Mapping[str, Any], name: str) -> str:
    path = _path(fault.instance_path)
    if not fault.instance_path:
        return f"{name}: {fault.message}."
    schema = known.get(str(fault.instance_path[0]), {})
    unit = f" {schema['unit']}" if schema.get("unit") else ""
    return f"{name}: {path}: found {shown(fault.instance)}; {_right(schema)}{unit} is right."


def _right(schema: Mapping[str, Any]) -> str:
    """What would be right, from the part of the schema that describes this value."""
    if "enum" in schema:
        return "one of " + ", ".join(shown(one) for one in schema["enum"])
    kind = schema.get("type", "a value")
    words = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}
    if isinstance(kind, list):
        right = " or ".join(words.get(one) or str(one) for one in kind)
    else:
        right = words.get(kind, f"a value of type {kind}")
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
        "multipleOf": "a multiple of",
        "minLength": "of length at least",
        "pattern": "matching",
        "minItems": "of at least this many items:",
    }
    limits = [f"{text} {schema[key]}" for key, text in bounds.items() if key in schema]
    return f"{right} {' and '.join(limits)}" if limits else right


def _path(parts: Iterable[int | str]) -> str:
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".") or "the document"
