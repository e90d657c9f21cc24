"""The theme, chosen without JavaScript."""

from __future__ import annotations

from http.cookies import Morsel

import pytest
from django.http import HttpResponse
from django.test import RequestFactory, override_settings


def choose(**form: str) -> HttpResponse:
    from neurocaas.server.web import theme

    with override_settings(ALLOWED_HOSTS=["testserver"]):
        return theme.choose(RequestFactory().post("/theme", form))


def cookie(answer: HttpResponse) -> Morsel[str]:
    found: Morsel[str] = answer.cookies["theme"]
    return found


def test_a_chosen_theme_is_kept_and_the_reader_returns_to_the_page() -> None:
    answer = choose(theme="dark", next="/jobs?page=2")
    assert cookie(answer).value == "dark"
    assert (answer.status_code, answer["Location"]) == (302, "/jobs?page=2")


@pytest.mark.parametrize("theme", ["system", "", 'dark" onload="x'])
def test_anything_but_light_and_dark_is_as_the_system_has_it(theme: str) -> None:
    answer = choose(theme=theme)
    assert (cookie(answer).value, cookie(answer)["max-age"]) == ("", 0)


@pytest.mark.parametrize("elsewhere", ["https://example.org/", "//example.org", "javascript:alert(1)"])
def test_nobody_is_sent_to_another_site(elsewhere: str) -> None:
    assert choose(theme="light", next=elsewhere)["Location"] == "/"


def test_a_link_can_t_change_the_theme() -> None:
    from neurocaas.server.web import theme

    assert theme.choose(RequestFactory().get("/theme?theme=dark")).status_code == 405
