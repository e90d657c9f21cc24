"""Every route, asked by everybody: one table says what each of them is answered.

With NEUROCAAS_UPDATE_ROUTES=1, this writes docs/reference/routes.md anew, which shows the table to operators.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.roles import PEOPLE, Roles
from support.routes import Route, foreign, routes

if TYPE_CHECKING:
    from django.test import Client

ROLES = tuple(PEOPLE)
REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "routes.md"
SAFE = {"GET", "HEAD", "OPTIONS"}
JSON = "application/json"

# of: whose job an address is about: an open or a private one of another member's, one that failed and was handed over,
# one that waits. token: the least scope that a token must have; - where no token counts. in: is asked to sign in.
TABLE = """
route                   method of      token  anonymous stranger member owner developer operator sees-jobs sees-results sees-data
home                    GET    -       -      200 200 200 200 200 200 200 200 200
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table."""

    route: str
    method: str
    of: str
    token: str
    answers: dict[str, str]

    def __str__(self) -> str:
        return f"{self.method} {self.route}" + (f" ({self.of})" if self.of != "-" else "")


def rows() -> list[Row]:
    found = []
    for line in TABLE.strip().splitlines()[1:]:
        route, method, of, token, *answers = line.split()
        found.append(
            Row(route=route, method=method, of=of, token=token, answers=dict(zip(ROLES, answers, strict=True)))
        )
    return found


ROWS = rows()

# What makes each of them the request that somebody means who does this.
BODIES: dict[str, Any] = {
    "api:make_token": {"name": "new"},
    "api:quote_job": {"analysis": "mean", "data": ["{item_id}"]},
    "api:submit_job": {"analysis": "mean", "data": ["{item_id}"]},
    "api:share_job": {"private": True},
    "api:hand_job_over": {"days": 2},
    "api:begin_upload": {"name": "b.npy", "form": "file", "files": [{"path": "b.npy", "size_bytes": 4}]},
    "api:get_parts": {"path": "new.npy", "numbers": [1]},
    "api:complete_upload": {},
    "api:change_item": {"tags": ["one"]},
    "api:change_budget": {"dollars": 200},
    "api:change_role": {"role": "owner"},
    "api:make_invitation": {},
    "api:join_group": {"code": "{code}"},
    "api:found_group": {"name": "fresh"},
    "theme": {"theme": "dark"},
    "join_group": {"code": "{code}"},
    "choose_group": {"group": "lab"},
    "withdraw_invitation": {"code": "{code}"},
    "group_member": {"user": "ben", "what": "budget", "dollars": "5"},
    "group_budget": {"dollars": "200"},
    "tokens": {"name": "new", "scope": "read", "days": "30"},
    "new_job": {"data": "{item_id}", "components": "3"},
    "new_job_quote": {"data": "{item_id}", "components": "3"},
}
QUERIES = {"api:get_parts_done": {"path": "new.npy"}}
HEADERS = {"uploads": {"upload-length": "4", "upload-metadata": "filename Yi5ucHk="}, "upload": {"upload-offset": "0"}}


@pytest.fixture(scope="module")
def roles(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    import shutil

    from conftest import _point_django_at
    from neurocaas.server.api import uploads
    from neurocaas.server.jobs import daemon
    from support.roles import make_roles

    folder = tmp_path_factory.mktemp("roles")
    database = folder / "test.sqlite3"
    shutil.copyfile(sqlite_template, database)
    _point_django_at(f"sqlite:///{database}")
    uploads._desk.cache_clear()
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(daemon, "wake", lambda *_: None)
        yield make_roles(folder, database)
    uploads._desk.cache_clear()


def asked(roles: Roles, row: Row, client: Client) -> str:
    """What the client is answered: a status, or `in` for being asked to sign in."""
    if row.route.startswith("upload"):
        return _uploading(roles, row, client)
    address, fill = _address(roles, row), roles.things | {"of": row.of}
    body = _filled(BODIES.get(row.route, {}), fill)
    more: dict[str, Any] = {"query_params": QUERIES.get(row.route, {})}
    if row.method not in SAFE:
        more |= {"data": body, "content_type": JSON} if row.route.startswith("api:") else {"data": body}
    answer = getattr(client, row.method.lower())(address, **more)
    if answer.streaming and not answer.is_async:
        list(answer)
    answer.close()
    return _code(answer.status_code, answer.headers.get("Location", ""))


def _code(status: int, location: str) -> str:
    return "in" if status == 302 and location.startswith("/accounts/login/") else str(status)


def _address(roles: Roles, row: Row) -> str:
    import re

    from django.urls import reverse

    path = next(one.path for one in routes() if one.name == row.route)
    if row.route in {"admin", "allauth"}:
        return {"admin": "/operator/admin/", "allauth": "/accounts/email/"}[row.route]
    names = re.findall(r"<(?:\w+:)?(\w+)>", path)
    values = roles.things | ({"job_id": roles.jobs[row.of]} if row.of != "-" else {})
    return reverse(row.route, kwargs={name: values[name] for name in names})


def _filled(body: Any, values: dict[str, Any]) -> Any:
    if isinstance(body, dict):
        return {name: _filled(one, values) for name, one in body.items()}
    if isinstance(body, list):
        return [_filled(one, values) for one in body]
    return body.format(**values) if isinstance(body, str) else body


def _uploading(roles: Roles, row: Row, client: Client) -> str:
    from neurocaas.server.api.authentication import sender
    from neurocaas.server.api.uploads import desk
    from neurocaas.server.uploads.tus import Tus

    path = "/uploads/" + (roles.things["upload"] if row.route == "upload" else "")
    cookies = {name: one.value for name, one in client.cookies.items()} | {"csrftoken": "a" * 32}
    headers = {"host": "localhost", "tus-resumable": "1.0.0", "x-csrftoken": "a" * 32} | HEADERS[row.route]
    headers["cookie"] = "; ".join(f"{name}={one}" for name, one in cookies.items())
    if row.method == "PATCH":
        headers |= {"content-type": "application/offset+octet-stream", "content-length": "2"}
    if token := client.defaults.get("HTTP_AUTHORIZATION", ""):
        headers["authorization"] = token
    scope: dict[str, Any] = {
        "type": "http",
        "method": row.method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    told: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"xx", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            told.append(message["status"])

    asyncio.run(Tus(desk(), sender)(scope, receive, send))  # type: ignore[arg-type]
    return str(told[0])


def test_discover(roles: Roles) -> None:
    import itertools, sys
    out = []
    jobrows = ("open", "private", "handed")
    for route in routes():
        if route.name in ("allauth",): methods = ("GET",)
        elif route.name in ("admin", "healthz", "metrics") or route.name.startswith("api:open") or route.name=="api:api-root": methods=("GET",)
        else: methods = route.methods or ("GET", "POST")
        ofs = jobrows if "job_id" in route.path else ("-",)
        if "cancel" in route.name: ofs = ("waiting",)+ofs
        for method, of in itertools.product(methods, ofs):
            row = Row(route=route.name, method=method, of=of, token="-", answers={})
            got = []
            for role in ROLES:
                try:
                    a = asked(roles, row, roles.browsers[role])
                except Exception as e:
                    a = repr(e)[:300]
                got.append(a)
                if method not in SAFE and a[0] in "23": roles.put_back()
            out.append(f"{route.name:<24}{method:<7}{of:<9}-   " + " ".join(f"{g:>4}" for g in got))
            print(out[-1], file=sys.stderr, flush=True)
