"""Read a JSON document into its model once, and say in sentences what is wrong with it: path, found, right."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from neurocaas.errors import NotFound, Refused

SHOWN_CHARACTERS = 60


class Document(BaseModel):
    """A frozen value parsed from JSON; an unknown key is an error."""

    # Validators are made when first used: a command that needs three models does not wait for fifty.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


D = TypeVar("D", bound=Document)

# What would be right, by pydantic's kind of fault, where its own words are a programmer's.
RIGHT = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than_equal": "a number of at most {le}",
    "too_short": "at least {min_length}",
    "string_too_short": "text that is not empty",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text matching {pattern}",
    "literal_error": "{expected}",
    "union_tag_invalid": "{expected_tags}",
    "ip_any_network": "a network such as 10.1.0.0/16",
}


def read_json(path: Path) -> Any:
    """The JSON value in `path`. Raises NotFound or Refused with the line and column of the fault."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(f"{path}: there is no such file.") from None
    except OSError as cause:
        raise Refused(f"{path} can't be read: {cause.strerror}.") from cause
    except UnicodeDecodeError as cause:
        raise Refused(f"{path}: byte {cause.start} is not UTF-8 text; a JSON document in UTF-8 is right.") from cause
    except json.JSONDecodeError as cause:
        raise Refused(
            f"{path}: line {cause.lineno}, column {cause.colno}: {cause.msg}; a JSON document is right."
        ) from cause


def parse(model: type[D], value: Any, name: str) -> D:
    """`value` as a `model`. Raises Refused with one sentence per fault, each naming the JSON path in `name`."""
    try:
        return model.model_validate(value)
    except ValidationError as cause:
        raise Refused("\n".join(f"{name}: {sentence}" for sentence in explain(cause, model))) from cause


def explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One sentence per fault: JSON path, what was found, what would be right."""
    return [_explained(fault, model) for fault in error.errors(include_url=False)]


def _explained(fault: ErrorDetails, model: type[BaseModel]) -> str:
    location, kind, found, context = fault["loc"], fault["type"], fault.get("input"), fault.get("ctx", {})
    if kind.startswith("union_tag"):
        # Of several models, none is meant: the fault is in the key that tells them apart.
        location = (*location, context["discriminator"].strip("'"))
        kind, found = ("missing", None) if kind == "union_tag_not_found" else (kind, context["tag"])
    parts, schema, definitions = _located(model, location)
    return _sentence(
        path=_path(parts),
        kind=kind,
        right=RIGHT.get(kind, fault["msg"].removeprefix("Value error, ")).format(**context),
        found=found,
        known=sorted(_resolved(schema, definitions).get("properties", {})),
    )


def write_whole(path: Path, text: str) -> None:
    """Write a document in place of the one that is there; it appears at once and whole."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{near[0]}"?' if near else ""


def shown(value: Any) -> str:
    """A value as JSON, short enough for a sentence."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: the same value gives the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, 64 hex characters."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _sentence(*, path: str, kind: str, right: str, found: Any, known: list[str]) -> str:
    if kind == "missing":
        return f"{path}: it is missing; it must be given."
    if kind == "extra_forbidden":
        key = path.rpartition(".")[2]
        listed = f" Known here: {', '.join(known)}." if known else ""
        return f"{path}: this key is not known.{nearest(key, known) or listed}"
    return f"{path}: found {shown(found)}; {right.removesuffix(',')} is right."


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".") or "the document"


def _located(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], Any, Any]:
    """A fault's path as the document has it, and the published schema of what holds it, with its definitions.

    pydantic puts the tag of a union into the path, which is no key of the document.
    """
    schema: Any = _published(model)
    definitions = schema.get("$defs", {})
    parts: list[int | str] = []
    for part in location[:-1]:
        reference = _resolved(schema, definitions).get("discriminator", {}).get("mapping", {}).get(part)
        if reference is None:
            parts.append(part)
        schema = {"$ref": reference} if reference else _step(schema, part, definitions)
    is_tag = location[-1:] and location[-1] in _resolved(schema, definitions).get("discriminator", {}).get(
        "mapping", {}
    )
    return tuple(parts) if is_tag else (*parts, *location[-1:]), schema, definitions


@cache
def _published(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model. Made once: of a large one, it takes longer than reading the document."""
    return model.model_json_schema()


def _step(schema: Any, part: int | str, definitions: Mapping[str, Any]) -> Any:
    schema = _resolved(schema, definitions)
    if isinstance(part, int):
        return schema.get("items", {})
    if part in schema.get("properties", {}):
        return schema["properties"][part]
    return schema.get("additionalProperties") or {}


def _resolved(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if not isinstance(schema, dict):
        return {}
    for option in schema.get("anyOf", ()):
        if "$ref" in option or "discriminator" in option:
            schema = option
    reference = schema.get("$ref", "")
    return definitions.get(reference.rpartition("/")[2], schema) if reference else schema
