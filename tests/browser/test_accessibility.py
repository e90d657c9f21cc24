"""Every page is usable by everybody: axe-core in both themes, a phone, and nothing that the browser refuses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from support.browsing import PASSWORD, Person, person
from support.populated import Populated
from support.visits import MOMENTARY, NOBODY, Visit, visits

NO_PAGE = 0
GRAVE = {"serious", "critical"}
THEMES = ["light", "dark"]


def violations(page: Page) -> list[str]:
    """What axe-core finds, the serious and the critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['help']}; {node['target']}: {node['failureSummary']}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("theme", THEMES)
def test_no_page_has_a_serious_violation_or_a_refused_script(browser: Browser, lab: Populated, theme: Any) -> None:
    wrong: list[str] = []
    all_visits = visits(lab)
    assert len(all_visits) > 30
    for who in sorted({visit.who for visit in all_visits}):
        with person(browser, lab.url, color_scheme=theme) as somebody:
            _sign_in(somebody, who, lab)
            for visit in all_visits:
                if visit.who == who:
                    wrong += [f"{visit}: {fault}" for fault in _looked_at(somebody, visit)]
            wrong += somebody.faults
    assert not wrong, "\n".join(wrong)


def _sign_in(somebody: Person, who: str, lab: Populated) -> None:
    """And give the password again, as the pages about the second factor want it."""
    if who == NOBODY:
        return
    somebody.give_password(who)
    if who == "mia":
        somebody.page.get_by_label("Code").fill(lab.recovery.pop())
        somebody.page.locator("main").get_by_role("button", name="Sign in").click()
    somebody.page.wait_for_url(f"{lab.url}/")
    somebody.open("/accounts/reauthenticate/?next=/profile")
    somebody.page.get_by_label("Password").fill(PASSWORD)
    somebody.page.locator("main form button").first.click()
    somebody.page.wait_for_url(f"{lab.url}/profile")


def _looked_at(somebody: Person, visit: Visit) -> list[str]:
    """What is wrong with the page behind the address. What answers no GET, or not with a whole page, is no page."""
    status, where = _page_at(somebody, visit.path)
    if where and not where.startswith(("/accounts/password/reset/key/", visit.path.partition("?")[0])):
        return [f"it leads to {where}, so its page was not seen"]
    if status == NO_PAGE:
        return []
    if visit.route and not where and status != visit.status:
        return [f"it answers {status}, so its page was not seen"]
    somebody.open(where or visit.path)
    somebody.settle()
    return violations(somebody.page)


def _page_at(somebody: Person, path: str) -> tuple[int, str]:
    """With which status a GET is answered, NO_PAGE if not by a page; and to where it leads, if it does."""
    cookies = {one["name"]: one["value"] for one in somebody.context.cookies()}
    # Of a stream of events, which may have no end, nothing but the head is read.
    with httpx.stream("GET", somebody.url + path, cookies=cookies, timeout=60) as answer:
        if answer.is_redirect:
            for name, value in answer.cookies.items():
                somebody.context.add_cookies([{"name": name, "value": value, "url": somebody.url}])
            return answer.status_code, answer.headers["location"]
        if answer.status_code == 405 or not answer.headers.get("content-type", "").startswith("text/html"):
            return NO_PAGE, ""
        whole = answer.read().lstrip().lower().startswith(b"<!doctype html")
    return (answer.status_code if whole else NO_PAGE), ""


@pytest.mark.parametrize("theme", THEMES)
def test_pages_on_the_way_in_have_no_serious_violation(browser: Browser, lab: Populated, theme: Any) -> None:
    seen = set()
    with person(browser, lab.url, color_scheme=theme) as somebody:
        somebody.give_password("mia")
        somebody.page.wait_for_url("**/2fa/authenticate/")
        seen.add("mfa_authenticate")
        assert violations(somebody.page) == []
    with person(browser, lab.url, color_scheme=theme) as somebody:
        somebody.sign_up(f"newcomer-{theme}", f"{theme}@example.org", group=f"{theme}-lab")
        somebody.page.wait_for_url("**/confirm-email/")
        seen.add("account_email_verification_sent")
        assert violations(somebody.page) == []
        assert somebody.faults == []
    assert seen == MOMENTARY


@pytest.mark.parametrize("theme", THEMES)
def test_what_opens_in_a_page_has_no_serious_violation(browser: Browser, lab: Populated, theme: Any) -> None:
    with person(browser, lab.url, color_scheme=theme) as ada:
        ada.sign_in("ada")
        ada.open("/group")
        for menu in ada.page.locator("header details.menu").all():
            menu.locator("summary").click()
            assert violations(ada.page) == []
        ada.page.keyboard.press("Escape")
        ada.page.get_by_role("button", name="Change bob").click()
        assert ada.page.get_by_role("dialog").is_visible()
        assert violations(ada.page) == []
        ada.page.get_by_role("button", name="Remove").click()
        ada.page.get_by_role("heading", name="Remove bob from the group?").wait_for()
        assert violations(ada.page) == []
        ada.open("/analyses/pca/new")
        ada.page.evaluate("for (const one of document.querySelectorAll('main details')) one.open = true")
        assert violations(ada.page) == []
        assert ada.faults == []


def test_a_phone_shows_every_page_without_scrolling_sideways(browser: Browser, lab: Populated) -> None:
    """At 390 pixels; what is wider, such as a table, scrolls by itself."""
    wrong = []
    for who in (NOBODY, "ada", "olga"):
        with person(browser, lab.url, viewport={"width": 390, "height": 844}, has_touch=True) as somebody:
            _sign_in(somebody, who, lab)
            for visit in visits(lab):
                if visit.who == who and _page_at(somebody, visit.path) == (200, ""):
                    somebody.open(visit.path)
                    somebody.settle()
                    width = somebody.page.evaluate("document.documentElement.scrollWidth")
                    wrong += [f"{visit} is {width} pixels wide"] * (width > 390)
    assert not wrong, "\n".join(wrong)
