"""What the log, the metrics and the person who asked are told of a request."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import ResolverMatch

from neurocaas.server.logs import JsonLines, request_id
from neurocaas.server.serving import counters
from neurocaas.server.serving.request_log import RequestLog, server_error

pytestmark = pytest.mark.usefixtures("sqlite_database")
LOGGER = "neurocaas.server.serving.request_log"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged, as it is written."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)


def _last(lines: io.StringIO) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(lines.getvalue().splitlines()[-1])
    return line


def _answer(request: HttpRequest) -> HttpResponse:
    request.resolver_match = ResolverMatch(
        lambda: None, (), {"key": "3a-secret"}, url_name="reset", route="reset/<key>/"
    )
    request._caller = SimpleNamespace(user="ada", group="lab")  # type: ignore[attr-defined]
    return HttpResponse("ok")


def test_a_request_is_one_line_with_its_number_and_without_secrets(lines: io.StringIO) -> None:
    request = RequestFactory().post(
        "/reset/3a-secret/?signature=3a-secret",
        {"password": "3a-secret"},
        headers={"Authorization": "Bearer 3a-secret"},
    )
    answer = RequestLog(_answer)(request)
    line = _last(lines)
    assert line["request"] == answer["X-Request-ID"]  # type: ignore[index]
    assert (line["user"], line["group"], line["method"], line["status"]) == ("ada", "lab", "POST", 200)
    assert (line["path"], line["route"]) == ("/reset/…/", "reset")
    assert "3a-secret" not in lines.getvalue()


def test_an_async_view_is_logged_the_same_way(lines: io.StringIO) -> None:
    async def answer(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        return _answer(request)

    middleware = RequestLog(answer)
    response = asyncio.run(middleware(RequestFactory().get("/x")))  # type: ignore[arg-type]
    assert _last(lines)["request"] == response["X-Request-ID"]


def test_nobody_is_looked_up_for_the_sake_of_the_log(lines: io.StringIO) -> None:
    class Lazy:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("looked up")

    request = RequestFactory().get("/x")
    request.user = Lazy()  # type: ignore[assignment]
    RequestLog(lambda _: HttpResponse())(request)
    assert "user" not in _last(lines)


def test_a_line_break_in_a_path_makes_no_second_line(lines: io.StringIO) -> None:
    request = RequestFactory().get("/x")
    request.path = '/a\n{"level": "error"}' + "b" * 10_000
    RequestLog(lambda _: HttpResponse())(request)
    assert len(lines.getvalue().splitlines()) == 1
    assert len(lines.getvalue()) < 1000


def test_a_fault_is_told_with_its_number_as_a_page_or_as_a_document() -> None:
    request_id.set("0123456789abcdef")
    page = server_error(RequestFactory().get("/x", headers={"Accept": "text/html"}))
    assert page.status_code == 500
    assert b"0123456789abcdef" in page.content
    problem = server_error(RequestFactory().get("/x", headers={"Accept": "application/json"}))
    assert problem["Content-Type"] == "application/problem+json"
    assert json.loads(problem.content)["status"] == 500
    assert "0123456789abcdef" in json.loads(problem.content)["remedy"]


def test_invented_methods_and_paths_make_no_new_time_series(lines: io.StringIO) -> None:
    for number in range(5):
        RequestLog(lambda _: HttpResponse(status=404))(RequestFactory().generic(f"METHOD{number}", f"/no/{number}"))
    counted = [one for family in counters.REQUESTS.collect() for one in family.samples]
    assert not any(one.labels["method"].startswith("METHOD") for one in counted)
    assert not any(one.labels["route"].startswith("/") for one in counted)
    (together,) = (
        one
        for one in counted
        if one.name.endswith("_total") and (one.labels["method"], one.labels["route"]) == ("other", "unrouted")
    )
    assert together.value >= 5
