"""What is answered when every connection of the database's pool is taken: that the site is busy, not at fault."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import psycopg
import psycopg_pool
import pytest
from django.db import OperationalError, connections
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings

from neurocaas.client.connection import TIMEOUT
from neurocaas.server.database import is_exhausted
from neurocaas.server.serving import configuration, request_log

pytestmark = pytest.mark.postgresql
ASKED = {"headers": {"Authorization": "Bearer ncs_of-nobody", "Accept": "*/*"}}
BROWSED = {"headers": {"Accept": "text/html"}}


@pytest.fixture
def exhausted(pool_of_one: None) -> Iterator[threading.Event]:
    """The pool's connection is held by another thread until the event is set."""
    held, free = threading.Event(), threading.Event()
    holder = threading.Thread(target=_hold, args=(held, free))
    holder.start()
    assert held.wait(30)
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        yield free
    free.set()
    holder.join(30)


def _hold(held: threading.Event, free: threading.Event) -> None:
    connections["default"].ensure_connection()
    held.set()
    free.wait(60)
    connections["default"].close()


def _check(answer: Any) -> None:
    assert answer.status_code == 503
    assert answer["Retry-After"] == str(request_log.AGAIN_SECONDS)
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Request-ID"]


def _check_problem(answer: Any) -> None:
    _check(answer)
    assert answer["Content-Type"] == "application/problem+json"
    problem = json.loads(answer.content)
    assert (problem["status"], problem["title"]) == (503, "Service Unavailable")
    assert problem["type"].endswith("#busy")
    assert "nothing was done" in problem["detail"]
    assert "Retry-After" in problem["remedy"]


@pytest.mark.usefixtures("exhausted")
def test_a_program_is_told_by_a_problem_document_when_to_ask_again() -> None:
    _check_problem(Client(raise_request_exception=False).get("/api/v1/jobs", **ASKED))


@pytest.mark.usefixtures("exhausted")
def test_a_program_that_takes_pages_gets_the_document_all_the_same() -> None:
    asked = {"headers": ASKED["headers"] | {"Accept": "text/html"}}
    _check_problem(Client(raise_request_exception=False).get("/api/v1/jobs", **asked))


@pytest.mark.usefixtures("exhausted")
def test_a_person_gets_a_page_that_says_so_from_sync_and_async_servers() -> None:
    async def later() -> HttpResponse:
        client = AsyncClient(raise_request_exception=False)
        client.cookies = SimpleCookie({"sessionid": "a" * 32})
        return await client.get("/", **BROWSED)

    client = Client(raise_request_exception=False)
    client.cookies = SimpleCookie({"sessionid": "a" * 32})
    for answer in (client.get("/", **BROWSED), asyncio.run(later())):
        _check(answer)
        assert b"The site is busy" in answer.content


def test_the_next_request_is_answered_when_a_connection_is_free(exhausted: threading.Event) -> None:
    client = Client(raise_request_exception=False)
    assert client.get("/api/v1/jobs", **ASKED).status_code == 503
    exhausted.set()
    for _ in range(50):  # each waits for a connection
        if (answer := client.get("/api/v1/jobs", **ASKED)).status_code != 503:
            break
    assert answer.status_code == 401


def test_any_other_fault_of_the_database_is_one() -> None:
    error = OperationalError("the disk is full")
    assert not is_exhausted(error)
    error.__cause__ = psycopg.OperationalError("the disk is full")
    assert not is_exhausted(error)
    error.__cause__ = psycopg_pool.PoolTimeout("couldn't get a connection")
    assert is_exhausted(error)


def test_a_request_waits_for_less_time_than_the_client_does() -> None:
    assert TIMEOUT.read is not None
    assert TIMEOUT.read > 1.5 * configuration.DATABASE_WAIT_SECONDS
