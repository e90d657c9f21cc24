"""What a request says, read such that nothing in it can trip what comes after: strict JSON, text that can be stored."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from ninja.parser import Parser

from neurocaas.errors import NeurocaasError, Refused

DEEPEST = 64


class Malformed(NeurocaasError):
    """What was sent is no JSON document."""

    exit_code = 2
    http_status = 400


class StrictParser(Parser):
    """JSON of the standard, without NaN, and without text that no database holds."""

    def parse_body(self, request: HttpRequest) -> Any:
        try:
            value = json.loads(request.body.decode(), parse_constant=_no_number)
        except json.JSONDecodeError as cause:
            raise Malformed(
                f"The body: line {cause.lineno}, column {cause.colno}: {cause.msg}; a JSON document is right."
            ) from None
        except UnicodeDecodeError as cause:
            raise Malformed(f"The body: byte {cause.start} is not UTF-8 text; JSON in UTF-8 is right.") from None
        except RecursionError:
            raise Malformed(f"The body is nested too deeply; {DEEPEST} levels are the most.") from None
        except ValueError as cause:
            raise Malformed(f"The body: {cause}; a JSON document is right.") from None
        check_text(value, "The body")
        return value

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        values = super().parse_querydict(data, list_fields, request)
        for name, value in values.items():
            check_text(value, name)
        return values


def check_text(value: Any, where: str, depth: int = 0) -> None:
    """Refuse text with zero bytes or halves of characters in it, anywhere, and what is nested too deeply."""
    if isinstance(value, str):
        if "\0" in value or not _whole(value):
            raise Refused(f"{where}: found text with a character that can't be stored; text without it is right.")
    elif depth == DEEPEST:
        raise Refused(f"{where} is nested too deeply; {DEEPEST} levels are the most.")
    elif isinstance(value, list):
        for one in value:
            check_text(one, where, depth + 1)
    elif isinstance(value, dict):
        for name, one in value.items():
            check_text(name, where, depth + 1)
            check_text(one, where, depth + 1)


def _whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"found {name}, which JSON does not have")
