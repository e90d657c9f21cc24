"""Which page is visited how: every route of the URL configuration, with arguments of a populated site."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from support.page_routes import Route, routes
from support.populated import Populated

# What has no page of this site's behind it, by the beginning of the address.
ELSEWHERE = {
    "/healthz": "for machines",
    "/metrics": "for machines",
    "/api/v1/": "for programs; its description is Swagger's page",
    "/operator/admin/": "Django's own admin, whose markup is not this project's",
    "/accounts/social/": "redirects to the addresses that these had in earlier versions of allauth",
    **{f"/accounts/{name}/": "the way to an identity provider" for name in ("orcid", "github", "google", "oidc")},
}
# What is a page only at a certain moment of signing in or up; test_accessibility.py goes there.
MOMENTARY = {"account_email_verification_sent", "mfa_authenticate"}
# What is a page only for who came by way of an identity provider, which this site has not.
FROM_A_PROVIDER = {"account_set_password", "socialaccount_signup", "account_confirm_login_code"}
# The document of a results file, or of a page that an analysis brought: shown in a frame, it is not this site's page.
OF_USERS = {"result_frame", "setup_page", "results_page"}
STATUSES = {"socialaccount_login_error": 401}
NOBODY = ""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Who opens which address. route: "" for what is not in the URL configuration by itself."""

    who: str
    path: str
    route: str = ""
    status: int = 200

    def __str__(self) -> str:
        return f"{self.path} ({self.who or 'nobody'})"


def is_elsewhere(route: Route) -> bool:
    return any(route.address.startswith(start) for start in ELSEWHERE)


def visits(site: Populated) -> list[Visit]:
    """One for each route with a page, then the same pages as others see them, and refusals."""
    values: dict[str, Any] = {
        "name": "pca",
        "file": "widefield.npy",
        "job_id": site.jobs["succeeded"],
        "index": 0,
        "token_id": site.token,
        "import_id": uuid.UUID(int=0),
        "deed": "cancel",
        "item_id": site.items["two-photon.tif"],
        "uidb36": site.reset.partition("-")[0],
        "key": site.reset.partition("-")[2],
    }
    two, file = f"?a={site.jobs['succeeded']}&b={site.jobs['sweep']}", "behaviour/figure.png"
    queries = {"compare": two, "compare_file": f"{two}&file={file}&other={file}"}
    queries |= dict.fromkeys(("result_view", "result_raw"), f"?file={file}")
    queries["result_picture"] = "?file=behaviour/components.npy"
    found = []
    for route in routes():
        if _open(route):
            own = values | ({"name": "watch-frames"} if route.name == "analysis_changes" else {})
            path = route.path(own) + queries.get(route.name, "")
            found.append(Visit(who=_who(route), path=path, route=str(route), status=STATUSES.get(route.name, 200)))
    return [*found, *_more(site)]


def _open(route: Route) -> bool:
    return not is_elsewhere(route) and route.name not in MOMENTARY | FROM_A_PROVIDER | OF_USERS


def _who(route: Route) -> str:
    if route.address.startswith("/operator"):
        return "olga"
    if route.name.startswith("mfa_") and route.name != "mfa_activate_totp":
        return "mia"
    if route.name in {"account_login", "account_signup", "account_inactive"} or "password_from_key" in route.name:
        return NOBODY
    return NOBODY if route.name.startswith("account_reset") else "ada"


def _more(site: Populated) -> Iterator[Visit]:
    for path in ("/", "/analyses", "/help", "/nowhere"):
        yield Visit(who=NOBODY, path=path)
    for path in ("/", "/group", "/analyses", "/operator"):
        yield Visit(who="noa", path=path)
    yield Visit(who="bob", path="/group")
    yield Visit(who="ada", path="/analyses/pca-kalman/new")
    for job in site.jobs.values():
        yield Visit(who="ada", path=f"/jobs/{job}")
    yield Visit(who="ada", path=f"/jobs/{site.jobs['endless']}/stacks/0")
    for file in ("figure.png", "components.npy", "explained_variance.csv", "summary.json", "log.txt"):
        yield Visit(who="ada", path=f"/jobs/{site.jobs['succeeded']}/results?file=behaviour/{file}")
    yield Visit(who="ada", path=f"/analyses/pca/new?from={site.jobs['succeeded']}")
