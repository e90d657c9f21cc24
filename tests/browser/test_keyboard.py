"""The site by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browsing import Person, person
from support.populated import Populated

MANY_TABS = 120


@pytest.fixture
def ada(browser: Browser, lab: Populated) -> Iterator[Person]:
    with person(browser, lab.url) as somebody:
        somebody.sign_in("ada")
        yield somebody
        assert somebody.faults == []


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is there, and see it marked."""
    for _ in range(MANY_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    raise AssertionError(f"{MANY_TABS} times Tab did not lead to {selector}")


def test_the_first_tab_skips_to_the_content(ada: Person) -> None:
    ada.open("/analyses")
    ada.page.keyboard.press("Tab")
    expect(ada.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    ada.page.keyboard.press("Enter")
    expect(ada.page.locator("main")).to_be_focused()


def test_a_menu_opens_by_enter_and_closes_by_escape_and_a_theme_is_chosen_in_it(ada: Person) -> None:
    page = ada.page
    ada.open("/analyses")
    menu = page.locator("details.menu", has_text="Theme")
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(menu.get_by_role("button", name="Dark")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu.get_by_role("button", name="Dark")).not_to_be_visible()
    expect(menu.locator("summary")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, "[name=theme][value=dark]")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_dialog_takes_the_focus_and_gives_it_back(ada: Person) -> None:
    page = ada.page
    ada.open("/group")
    opener = page.get_by_role("button", name="Change bob")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    expect(opener).to_be_focused()


def test_a_job_is_submitted_by_keyboard(ada: Person, lab: Populated) -> None:
    page = ada.page
    ada.open("/analyses/pca/new")
    tab_to(page, f"input[name=data][value='{lab.items['two-photon.tif']}']")
    page.keyboard.press("Space")
    tab_to(page, "[name='p.components']")
    page.keyboard.press("Control+A")
    page.keyboard.type("4")
    expect(page.locator("#quote")).to_contain_text("1 stack on 1 dataset")
    tab_to(page, "#submit")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/*")
    expect(page.locator(".job-head .status")).to_have_text("Succeeded")
    expect(page.locator("main")).to_contain_text("two-photon.tif")
