"""What a submission says: the original's `submit.json`, read with nothing taken for granted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from neurocaas.documents import shown
from neurocaas.errors import Refused

MOST_BYTES = 256 * 1024
MOST_DATA = 10_000
_TIMESTAMP = re.compile(r"[0-9A-Za-z_.:+-]{1,40}")
_TEXT_CHARACTERS = 2048


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked for. Fields that were left out are empty."""

    data: tuple[str, ...]
    config: str
    timestamp: str
    instance_type: str
    result: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"data": list(self.data)}


def parse(data: bytes) -> dict[str, Any]:
    """The JSON object that a submission is. Raises Refused."""
    try:
        document = json.loads(data.decode(), parse_constant=_no_number)
        text = json.dumps(document, ensure_ascii=False)
        text.encode()
    except UnicodeDecodeError as cause:
        raise Refused(f"submit.json: byte {cause.start} is not UTF-8 text; JSON in UTF-8 is right.") from cause
    except json.JSONDecodeError as cause:
        raise Refused(
            f"submit.json: line {cause.lineno}, column {cause.colno}: {cause.msg}; a JSON document is right."
        ) from cause
    except RecursionError as cause:
        raise Refused("submit.json is nested too deeply; an object of a few fields is right.") from cause
    except ValueError as cause:
        raise Refused(f"submit.json: {cause}; a JSON document is right.") from cause
    if not isinstance(document, dict):
        raise Refused(f"submit.json: found {shown(document)}; an object with dataname and configname is right.")
    if "\\u0000" in text:
        raise Refused("submit.json: found text with a zero byte in it; text without is right.")
    return document


def read(document: dict[str, Any]) -> Asked:
    """The fields of the object; those that the original did not know either are left alone. Raises Refused."""
    faults: list[str] = []

    def field(name: str, right: Callable[[Any], bool], what: str) -> Any:
        found = document.get(name)
        if found is not None and not right(found):
            faults.append(f"{name}: found {shown(found)}; {what} is right.")
            return None
        return found

    data = field("dataname", _is_data, f"the key of a file or folder, or a list of 1 to {MOST_DATA:,} of them,")
    if document.get("dataname") is None:
        faults.append("dataname: it is missing; the key of a file or folder, or a list of them, is right.")
    config = field("configname", _is_text, "the key of a .json or .yaml file")
    timestamp = field("timestamp", _is_timestamp, "a time in seconds, as 1622548800,")
    instance_type = field("instance_type", _is_text, "the name of an instance type")
    result = field("resultpath", _is_text, "a folder below the group's results, or s3://bucket/folder,")
    if faults:
        raise Refused("\n".join(faults))
    return Asked(
        data=tuple(dict.fromkeys([data] if isinstance(data, str) else data)),
        config=config or "",
        timestamp="" if timestamp is None else str(timestamp),
        instance_type=instance_type or "",
        result=result or "",
    )


def timestamp_of(document: dict[str, Any]) -> str:
    """The time that a submission gives itself, even if nothing else in it is right; "" if that is not right either."""
    found = document.get("timestamp")
    return str(found) if found is not None and _is_timestamp(found) else ""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _TEXT_CHARACTERS


def _is_data(value: Any) -> bool:
    if isinstance(value, list):
        return 0 < len(value) <= MOST_DATA and all(map(_is_text, value))
    return _is_text(value)


def _is_timestamp(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    return bool(_TIMESTAMP.fullmatch(str(value)))


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"found {name}, which JSON does not have")
