"""The table of every route and what everybody is answered, and how a row of it is asked."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.roles import PEOPLE, Roles
from support.routes import routes

if TYPE_CHECKING:
    from django.test import Client

ROLES = tuple(PEOPLE)
SAFE = {"GET", "HEAD", "OPTIONS"}
JSON = "application/json"

# of: which job of another member's an address is about: an open or a private one, one that failed and was handed over
# to the developers, one that waits. token: the least scope of a token that is let through; - where none counts.
# Who asks: nobody, a stranger (who owns another group), a member, an owner, a developer of the analysis, an operator,
# and members of groups that this one lets see its jobs, its results, its data. in: is asked to sign in. What somebody
# may not know of is 404; 403 is for what they know of and may not do; 409 and 422 come after both, for what can't be
# done now. healthz says 503 because no job manager runs here.
TABLE = """
route                    method  of      token  anon strg memb ownr devl oper jobs resl data
healthz                  GET     -       -       503  503  503  503  503  503  503  503  503
metrics                  GET     -       -       200  200  200  200  200  200  200  200  200
api:openapi-json         GET     -       -       200  200  200  200  200  200  200  200  200
api:openapi-view         GET     -       -       200  200  200  200  200  200  200  200  200
api:get_me               GET     -       read    401  200  200  200  200  200  200  200  200
api:list_tokens          GET     -       manage  401  200  200  200  200  200  200  200  200
api:make_token           POST    -       manage  401  201  201  201  201  201  201  201  201
api:revoke_token         DELETE  -       manage  401  404  404  204  404  404  404  404  404
api:list_analyses        GET     -       read    401  200  200  200  200  403  200  200  200
api:get_analysis         GET     -       read    401  200  200  200  200  403  200  200  200
api:get_sample           GET     -       read    401  200  200  200  200  403  200  200  200
api:quote_job            POST    -       write   401  404  200  200  404  403  404  404  200
api:submit_job           POST    -       write   401  404  201  201  404  403  404  404  201
api:list_jobs            GET     -       read    401  200  200  200  200  200  200  200  200
api:get_job              GET     open    read    401  404  200  200  404  200  200  200  404
api:get_job              GET     private read    401  404  404  200  404  200  404  404  404
api:get_job              GET     handed  read    401  404  200  200  200  200  200  200  404
api:remove_job           DELETE  open    write   401  404  403  204  404  403  403  403  404
api:remove_job           DELETE  private write   401  404  404  204  404  403  404  404  404
api:remove_job           DELETE  handed  write   401  404  403  204  403  403  403  403  404
api:list_stacks          GET     open    read    401  404  200  200  404  200  200  200  404
api:list_stacks          GET     private read    401  404  404  200  404  200  404  404  404
api:list_stacks          GET     handed  read    401  404  200  200  200  200  200  200  404
api:cancel_job           POST    waiting write   401  404  403  200  404  403  403  403  404
api:cancel_job           POST    open    write   401  404  403  200  404  403  403  403  404
api:cancel_job           POST    private write   401  404  404  200  404  403  404  404  404
api:cancel_job           POST    handed  write   401  404  403  200  403  403  403  403  404
api:retry_job            POST    open    write   401  404  403  422  404  403  403  403  404
api:retry_job            POST    private write   401  404  404  422  404  403  404  404  404
api:retry_job            POST    handed  write   401  404  403  201  403  403  403  403  404
api:share_job            POST    open    write   401  404  403  200  404  403  403  403  404
api:share_job            POST    private write   401  404  404  200  404  403  404  404  404
api:share_job            POST    handed  write   401  404  403  200  403  403  403  403  404
api:hand_job_over        POST    open    write   401  404  403  422  404  403  403  403  404
api:hand_job_over        POST    private write   401  404  404  422  404  403  404  404  404
api:hand_job_over        POST    handed  write   401  404  403  204  403  403  403  403  404
api:take_job_back        DELETE  open    write   401  404  403  204  404  403  403  403  404
api:take_job_back        DELETE  private write   401  404  404  204  404  403  404  404  404
api:take_job_back        DELETE  handed  write   401  404  403  204  403  403  403  403  404
api:reproduce_job        POST    open    write   401  404  422  422  404  403  403  403  404
api:reproduce_job        POST    private write   401  404  404  422  404  403  404  404  404
api:reproduce_job        POST    handed  write   401  404  422  422  403  403  403  403  404
api:follow_job           GET     open    read    401  404  200  200  404  200  200  200  404
api:follow_job           GET     private read    401  404  404  200  404  200  404  404  404
api:follow_job           GET     handed  read    401  404  200  200  200  200  200  200  404
api:get_log              GET     open    read    401  404  200  200  404  403  403  200  404
api:get_log              GET     private read    401  404  404  200  404  403  404  404  404
api:get_log              GET     handed  read    401  404  200  200  200  403  403  200  404
api:list_files           GET     open    read    401  404  200  200  404  403  403  200  404
api:list_files           GET     private read    401  404  404  200  404  403  404  404  404
api:list_files           GET     handed  read    401  404  200  200  200  403  403  200  404
api:file                 GET     -       -       200  404  404  200  404  404  404  404  404
api:get_archive          GET     open    read    401  404  200  200  404  403  403  200  404
api:get_archive          GET     private read    401  404  404  200  404  403  404  404  404
api:get_archive          GET     handed  read    401  404  200  200  200  403  403  200  404
api:get_certificate      GET     open    read    401  404  200  200  404  403  403  200  404
api:get_certificate      GET     private read    401  404  404  200  404  403  404  404  404
api:get_certificate      GET     handed  read    401  404  200  200  200  403  403  200  404
api:get_crate            GET     waiting read    401  404  422  422  404  403  403  422  404
api:begin_upload         POST    -       write   401  201  201  201  201  403  201  201  201
api:get_upload           GET     -       read    401  404  200  200  404  403  404  404  404
api:give_upload_up       DELETE  -       write   401  404  204  204  404  403  404  404  404
api:get_parts            POST    -       write   401  404  409  409  404  403  404  404  404
api:get_parts_done       GET     -       read    401  404  409  409  404  403  404  404  404
api:complete_upload      POST    -       write   401  404  409  409  404  403  404  404  404
api:begin_import         POST    -       write   401  422  422  422  422  403  422  422  422
api:list_imports         GET     -       read    401  200  200  200  200  403  200  200  200
api:get_import           GET     -       read    401  404  200  200  404  403  404  404  404
api:cancel_import        DELETE  -       write   401  404  204  204  404  403  404  404  404
api:list_items           GET     -       read    401  200  200  200  200  403  200  200  200
api:get_item             GET     -       read    401  404  200  200  404  403  404  404  404
api:change_item          PATCH   -       write   401  404  200  200  404  403  404  404  404
api:delete_item          DELETE  -       write   401  404  204  204  404  403  404  404  404
api:get_content          GET     -       read    401  404  200  200  404  403  404  404  404
api:get_quota            GET     -       read    401  200  200  200  200  403  200  200  200
api:get_budget           GET     -       read    401  200  200  200  200  403  200  200  200
api:change_budget        PATCH   -       manage  401  200  403  200  200  403  200  200  200
api:get_group            GET     -       read    401  200  200  200  200  403  200  200  200
api:change_role          PATCH   -       manage  401  404  403  204  404  403  404  404  404
api:remove_member        DELETE  -       manage  401  404  403  204  404  403  404  404  404
api:list_invitations     GET     -       manage  401  200  403  200  200  403  200  200  200
api:make_invitation      POST    -       manage  401  201  403  201  201  403  201  201  201
api:withdraw_invitation  DELETE  -       manage  401  404  403  204  404  403  404  404  404
api:join_group           POST    -       manage  401  200  200  200  200  200  200  200  200
api:found_group          POST    -       manage  401  201  201  201  201  201  201  201  201
api:all_jobs             GET     -       manage  401  404  404  404  404  200  404  404  404
api:all_instances        GET     -       manage  401  404  404  404  404  200  404  404  404
api:all_groups           GET     -       manage  401  404  404  404  404  200  404  404  404
api:all_users            GET     -       manage  401  404  404  404  404  200  404  404  404
api:api-root             GET     -       -       404  404  404  404  404  404  404  404  404
home                     GET     -       -       200  200  200  200  200  200  200  200  200
theme                    POST    -       -       302  302  302  302  302  302  302  302  302
help                     GET     -       -       200  200  200  200  200  200  200  200  200
group                    GET     -       -        in  200  200  200  200  200  200  200  200
join_group               POST    -       -        in  302  302  302  302  302  302  302  302
choose_group             POST    -       -        in  404  302  302  404  404  404  404  404
invite                   POST    -       -        in  302  403  302  302  403  302  302  302
withdraw_invitation      POST    -       -        in  404  403  302  404  403  404  404  404
group_member             POST    -       -        in  404  403  302  404  403  404  404  404
group_budget             POST    -       -        in  302  403  302  302  403  302  302  302
jobs                     GET     -       -        in  200  200  200  200  200  200  200  200
job_badges               GET     -       -       403  200  200  200  200  200  200  200  200
compare                  GET     open    -        in  404  200  200  404  403  403  200  404
compare                  GET     private -        in  404  404  200  404  403  404  404  404
compare                  GET     handed  -        in  404  200  200  200  403  403  200  404
compare_file             GET     open    -        in  404  200  200  404  403  403  200  404
compare_file             GET     private -        in  404  404  200  404  403  404  404  404
job                      GET     open    -        in  404  200  200  404  200  200  200  404
job                      GET     private -        in  404  404  200  404  200  404  404  404
job                      GET     handed  -        in  404  200  200  200  200  200  200  404
job_verification         GET     open    -        in  404  422  422  404  403  403  422  404
job_verification         GET     private -        in  404  404  422  404  403  404  404  404
job_verification         GET     handed  -        in  404  422  422  422  403  403  422  404
job_events               GET     open    -       403  404  200  200  404  200  200  200  404
job_events               GET     private -       403  404  404  200  404  200  404  404  404
job_events               GET     handed  -       403  404  200  200  200  200  200  200  404
job_act/cancel           POST    waiting -        in  404  403  302  404  403  403  403  404
job_act/cancel           POST    open    -        in  404  403  302  404  403  403  403  404
job_act/retry            POST    open    -        in  404  403  422  404  403  403  403  404
job_act/retry            POST    private -        in  404  404  422  404  403  404  404  404
job_act/retry            POST    handed  -        in  404  403  302  403  403  403  403  404
job_act/reproduce        POST    open    -        in  404  422  422  404  403  403  403  404
job_act/reproduce        POST    private -        in  404  404  422  404  403  404  404  404
job_act/reproduce        POST    handed  -        in  404  422  422  403  403  403  403  404
job_act/share            POST    open    -        in  404  403  302  404  403  403  403  404
job_act/share            POST    private -        in  404  404  302  404  403  404  404  404
job_act/share            POST    handed  -        in  404  403  302  403  403  403  403  404
job_act/handover         POST    open    -        in  404  403  422  404  403  403  403  404
job_act/handover         POST    private -        in  404  404  422  404  403  404  404  404
job_act/handover         POST    handed  -        in  404  403  302  403  403  403  403  404
job_act/takeback         POST    open    -        in  404  403  302  404  403  403  403  404
job_act/takeback         POST    private -        in  404  404  302  404  403  404  404  404
job_act/takeback         POST    handed  -        in  404  403  302  403  403  403  403  404
job_act/nothing          POST    open    -        in  404  404  404  404  404  404  404  404
stack                    GET     open    -        in  404  200  200  404  403  403  200  404
stack                    GET     private -        in  404  404  200  404  403  404  404  404
stack                    GET     handed  -        in  404  200  200  200  403  403  200  404
stack_events             GET     open    -       403  404  200  200  404  403  403  200  404
stack_events             GET     private -       403  404  404  200  404  403  404  404  404
stack_events             GET     handed  -       403  404  200  200  200  403  403  200  404
results                  GET     open    -        in  404  200  200  404  403  403  200  404
results                  GET     private -        in  404  404  200  404  403  404  404  404
results                  GET     handed  -        in  404  200  200  200  403  403  200  404
result_list              GET     open    -        in  404  200  200  404  403  403  200  404
result_list              GET     private -        in  404  404  200  404  403  404  404  404
result_list              GET     handed  -        in  404  200  200  200  403  403  200  404
result_view              GET     open    -        in  404  200  200  404  403  403  200  404
result_view              GET     private -        in  404  404  200  404  403  404  404  404
result_picture           GET     open    -        in  404  200  200  404  403  403  200  404
result_picture           GET     private -        in  404  404  200  404  403  404  404  404
result_raw               GET     open    -        in  404  200  200  404  403  403  200  404
result_raw               GET     private -        in  404  404  200  404  403  404  404  404
result_frame             GET     open    -        in  404  200  200  404  403  403  200  404
result_frame             GET     private -        in  404  404  200  404  403  404  404  404
explore                  GET     open    -        in  404  200  200  404  403  403  200  404
explore                  GET     private -        in  404  404  200  404  403  404  404  404
explore                  GET     handed  -        in  404  200  200  200  403  403  200  404
explore_files            GET     open    -        in  404  200  200  404  403  403  200  404
explore_files            GET     private -        in  404  404  200  404  403  404  404  404
explore_files            GET     handed  -        in  404  200  200  200  403  403  200  404
results_page             GET     open    -        in  404  200  200  404  403  403  200  404
results_page             GET     private -        in  404  404  200  404  403  404  404  404
results_page             GET     handed  -        in  404  200  200  200  403  403  200  404
data                     GET     -       -        in  200  200  200  200  302  200  200  200
imports                  GET     -       -        in  200  200  200  200  403  200  200  200
begin_import             POST    -       -        in  422  422  422  422  403  422  422  422
cancel_import            POST    -       -        in  404  302  302  404  403  404  404  404
data_item                GET     -       -        in  404  200  200  404  403  404  404  404
tag_data                 POST    -       -        in  404  302  302  404  403  404  404  404
keep_data                POST    -       -        in  404  302  302  404  403  404  404  404
delete_data              POST    -       -        in  404  302  302  404  403  404  404  404
profile                  GET     -       -        in  200  200  200  200  200  200  200  200
notifications            POST    -       -        in  302  302  302  302  302  302  302  302
tokens                   GET     -       -        in  200  200  200  200  200  200  200  200
tokens                   POST    -       -        in  200  200  200  200  200  200  200  200
revoke_token             POST    -       -        in  404  404  302  404  404  404  404  404
operator                 GET     -       -        in  404  404  404  404  200  404  404  404
operator_jobs            GET     -       -        in  404  404  404  404  200  404  404  404
operator_hardware        GET     -       -        in  404  404  404  404  200  404  404  404
operator_hardware_table  GET     -       -        in  404  404  404  404  200  404  404  404
operator_groups          GET     -       -        in  404  404  404  404  200  404  404  404
operator_users           GET     -       -        in  404  404  404  404  200  404  404  404
operator_audit           GET     -       -        in  404  404  404  404  200  404  404  404
analyses                 GET     -       -       200  200  200  200  200  200  200  200  200
analysis                 GET     -       -        in  200  200  200  200  200  200  200  200
analysis_changes         GET     -       -        in  404  404  404  404  404  404  404  404
sample                   GET     -       -        in  200  200  200  200  200  200  200  200
sample                   POST    -       -        in  302  302  302  302  403  302  302  302
sample_file              GET     -       -        in  200  200  200  200  200  200  200  200
setup_page               GET     -       -        in  200  200  200  200  200  200  200  200
new_job                  GET     -       -        in  200  200  200  200  403  200  200  200
new_job                  POST    -       -        in  422  302  302  422  403  422  422  302
new_job_quote            POST    -       -        in  200  200  200  200  403  200  200  200
new_job_data             POST    -       -        in  200  200  200  200  403  200  200  200
new_job_config           POST    -       -        in  200  200  200  200  403  200  200  200
new_job_setup            POST    -       -        in  200  200  200  200  403  200  200  200
uploads                  OPTIONS -       -       204  204  204  204  204  204  204  204  204
uploads                  POST    -       write   401  201  201  201  201  401  201  201  201
upload                   HEAD    -       read    401  404  200  200  404  401  404  404  404
upload                   PATCH   -       write   401  404  204  204  404  401  404  404  404
upload                   DELETE  -       write   401  404  204  204  404  401  404  404  404
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
    "api:begin_import": {"url": "https://127.0.0.1/a.npy"},
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
    "begin_import": {"url": "https://127.0.0.1/a.npy"},
    "tag_data": {"tags": "one"},
    "keep_data": {"keep": "yes"},
    "notifications": {"channel": "none"},
    "job_act/share": {"private": "yes"},
    "job_act/handover": {"days": "2"},
    "new_job": {"data": "{item_id}", "components": "3"},
    "new_job_quote": {"data": "{item_id}", "components": "3"},
    "new_job_setup": {"data": "{item_id}"},
}
QUERIES = {
    "api:get_parts_done": {"path": "new.npy"},
    "result_view": {"file": "{folder}/mean.csv"},
    "result_picture": {"file": "{folder}/map.npy"},
    "result_raw": {"file": "{folder}/mean.csv"},
    "result_frame": {"file": "{folder}/page.html"},
    "compare": {"a": "{of}", "b": "{of}"},
    "compare_file": {"a": "{of}", "b": "{of}", "file": "{folder}/mean.csv", "other": "{folder}/mean.csv"},
}
HEADERS = {"uploads": {"upload-length": "4", "upload-metadata": "filename Yi5ucHk="}, "upload": {"upload-offset": "0"}}


def asked(roles: Roles, row: Row, client: Client) -> str:
    """What the client is answered: a status, or `in` for being asked to sign in."""
    if row.route.startswith("upload"):
        return _uploading(roles, row, client)
    address, fill = (
        address_of(roles, row),
        roles.things | {"of": roles.jobs.get(row.of, ""), "folder": roles.folders.get(row.of, "")},
    )
    body = _filled(BODIES.get(row.route, {}), fill)
    more: dict[str, Any] = {"query_params": _filled(QUERIES.get(row.route, {}), fill)}
    if row.method not in SAFE:
        more |= {"data": body, "content_type": JSON} if row.route.startswith("api:") else {"data": body}
    answer = getattr(client, row.method.lower())(address, **more)
    if answer.streaming and not answer.is_async:
        list(answer)
    answer.close()
    return _code(answer.status_code, answer.headers.get("Location", ""))


def _code(status: int, location: str) -> str:
    return "in" if status == 302 and location.startswith("/accounts/login/") else str(status)


def address_of(roles: Roles, row: Row) -> str:
    from django.urls import reverse

    name, _, deed = row.route.partition("/")
    path = next(one.path for one in routes() if one.name == name)
    names = re.findall(r"<(?:\w+:)?(\w+)>", path)
    values = roles.things | {"deed": deed} | ({"job_id": roles.jobs[row.of]} if row.of != "-" else {})
    return reverse(name, kwargs={one: values[one] for one in names})


def _filled(body: Any, values: dict[str, Any]) -> Any:
    if isinstance(body, dict):
        return {name: _filled(one, values) for name, one in body.items()}
    if isinstance(body, list):
        return [_filled(one, values) for one in body]
    return body.format(**values) if isinstance(body, str) else body


def _uploading(roles: Roles, row: Row, client: Client) -> str:
    from neurocaas.server.api.authentication import sender
    from neurocaas.server.serving.wiring import desk
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

    asyncio.run(Tus(desk(), sender)(scope, receive, send))
    return str(told[0])
