"""Whatever a program sends to the API: no answer is the site's own fault, and each is as the API's document has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from support.serving import make_account, web_process
from support.sites import TestSite

EXAMPLES_EACH = 8
LONGEST_LINE = 60_000  # longer ones the HTTP server refuses before this site sees them
STREAMS = ("/events", "/sample")  # the first ends with its job, the second builds an environment


@pytest.fixture
def served(site: TestSite) -> Iterator[tuple[str, str]]:
    site.analysis("mean", "true")
    token = make_account(site.root, **site.variables)
    with web_process(site.root, **site.variables) as url:
        yield url, token


def test_no_request_makes_the_site_fail(served: tuple[str, str]) -> None:
    url, token = served
    api = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")
    headers = {"Authorization": f"Bearer {token}"}
    asked = 0
    for result in api.get_all_operations():
        operation = result.ok()
        if operation.path.endswith(STREAMS):
            continue
        for mode in (
            schemathesis.GenerationMode.ALL
            if hasattr(schemathesis.GenerationMode, "ALL")
            else list(schemathesis.GenerationMode)
        ):
            asked += _try(operation, mode, headers)
    assert asked > 100


def _try(operation: schemathesis.APIOperation, mode: schemathesis.GenerationMode, headers: dict[str, str]) -> int:
    count = 0

    @settings(
        max_examples=EXAMPLES_EACH,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def requests(case: schemathesis.Case) -> None:
        nonlocal count
        count += 1
        answer = case.call(headers=headers)
        asked = case.as_curl_command()[:400]
        assert answer.status_code < 500, f"{asked}: {answer.text}"
        if answer.status_code >= 400 and len(case.as_curl_command()) < LONGEST_LINE:
            assert answer.headers.get("content-type", [""])[0] == "application/problem+json", asked
            assert answer.json()["detail"]

    try:
        requests()
    except Exception as error:
        if type(error).__name__ not in {"Unsatisfiable", "NoExamples"}:
            raise
    return count
