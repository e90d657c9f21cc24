"""A real Chromium, and people who use it: each has cookies of their own, and nothing may go wrong in their pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, expect, sync_playwright

from support.sites import until

ARTEFACTS = Path(__file__).resolve().parents[2] / ".artefacts" / "browser"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "three cells fired at dawn"
PATIENCE_MS = 180_000
expect.set_options(timeout=PATIENCE_MS)
PARTS = {"stylesheet", "script", "image", "font", "media"}  # of a page, which must be there


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium without a window. Fails if this machine has none."""
    path = shutil.which("chromium")
    assert path, "Chromium is not there: sudo apt-get install -y --no-install-recommends chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Person:
    """Somebody at a browser. faults: what their pages complained about, scripts that the site's policy refused too."""

    context: BrowserContext
    page: Page
    url: str
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> Response:
        answer = self.page.goto(self.url + path)
        assert answer is not None
        return answer

    def path(self) -> str:
        """Where they are now."""
        return urlsplit(self.page.url).path

    def sign_in(self, user: str) -> None:
        self.give_password(user)
        self.page.locator("header details.menu", has_text=user).wait_for(state="attached")

    def give_password(self, user: str) -> None:
        self.open("/accounts/login/")
        self.page.get_by_label("Login").fill(user)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.locator("main").get_by_role("button", name="Sign in").click()

    def sign_up(self, user: str, address: str, *, group: str = "", code: str = "") -> None:
        """Ask for an account, with a new group or with the code of a colleague's."""
        self.open("/accounts/signup/")
        self.fill_in_sign_up(user, address, group=group, code=code)
        self.page.locator("main").get_by_role("button", name="Sign up").click()

    def fill_in_sign_up(self, user: str, address: str, *, group: str = "", code: str = "") -> None:
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_label("Email").fill(address)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.get_by_label("Group code").fill(code)
        self.page.get_by_label("Name of a new group").fill(group)

    def settle(self) -> None:
        """Until htmx has put everything into the page that loading it asks for."""
        self.page.wait_for_load_state("load")
        # Playwright's own waiting evaluates text in the page, which the site's policy rightly refuses.
        busy = "document.querySelector('.htmx-request, .htmx-settling, .htmx-swapping') !== null"
        until(lambda: not self.page.evaluate(busy))

    def shot(self, folder: str, name: str, *, full: bool = True) -> None:
        """Keep what they see as .artefacts/browser/FOLDER/NAME.png"""
        path = ARTEFACTS / folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Hiding the caret would leave empty style attributes behind, which the policy then refuses to htmx.
        self.page.screenshot(path=path, full_page=full, animations="disabled", caret="initial")


@contextmanager
def person(browser: Browser, url: str, **options: Any) -> Iterator[Person]:
    """Somebody new at the site, in a window of their own. options: as of Playwright's new_context."""
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
    context.set_default_timeout(PATIENCE_MS)
    try:
        page = context.new_page()
        somebody = Person(context, page, url)
        listen(page, somebody.faults)
        yield somebody
    finally:
        context.close()


def listen(page: Page, faults: list[str]) -> None:
    """Note errors of the page's scripts and of its console, among them what the content security policy refused."""

    def note(what: str) -> None:
        faults.append(f"{urlsplit(page.url).path}: {what}")

    def said(message: ConsoleMessage) -> None:
        # That the page itself, or an answer to a script, is a refusal may be just what a test wants.
        if message.type in {"error", "warning"} and "the server responded with a status" not in message.text:
            note(message.text)

    def answered(response: Response) -> None:
        if response.status >= 400 and response.request.resource_type in PARTS:
            note(f"{response.url} answered {response.status}")

    page.on("console", said)
    page.on("response", answered)
    page.on("pageerror", lambda error: note(str(error)))


def drop(page: Page, target: str, paths: list[Path]) -> None:
    """Drag files of this machine from outside of the browser onto the page, as its window system would tell it."""
    box = page.locator(target).first.bounding_box()
    assert box is not None
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})
    session.detach()
