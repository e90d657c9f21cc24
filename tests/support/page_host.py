"""The site's side of an analysis' interactive page, alone: one page with the frame in it that answers what it asks.

The frame gets what a real one gets (docs/reference/pages.md): an opaque origin, scripts and nothing else, and a policy
that refuses every connection. Nothing is listening anywhere: the browser's requests are answered here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, FrameLocator, Page, Route

from support.browsing import ARTEFACTS, PATIENCE_MS, listen
from support.sites import until

ORIGIN = "http://host.test"
DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
HOST = """<!doctype html><meta charset="utf-8"><title>Host</title><meta name="viewport" content="width=device-width">
<style>body { margin: 0 } iframe { display: block; width: 100%; border: 0 }</style>
<iframe title="Page of the analysis" sandbox="allow-scripts" src="/frame"></iframe>
<script>
"use strict";
const frame = document.querySelector("iframe");
const start = START, files = FILES;
window.said = [];
const tell = (message, transfer = []) => frame.contentWindow.postMessage({neurocaas: 1, ...message}, "*", transfer);
window.tell = tell;
addEventListener("message", async ({source, origin, data}) => {
  if (source !== frame.contentWindow || origin !== "null" || data.neurocaas !== 1) return;
  window.said.push(data);
  if (data.type === "ready") tell({type: "start", ...start});
  if (data.type === "size") frame.style.height = `${data.height}px`;
  const run = data.run ?? start.run ?? "";
  if (data.type === "files") tell({type: "files", id: data.id, run, files: files[run] ?? []});
  if (data.type !== "file") return;
  if (!(files[run] ?? []).some(one => one.path === data.path)) {
    return tell({type: "file", id: data.id, error: `There is no file ${data.path}.`});
  }
  const answer = await fetch(`/files/${run}/${data.path}`), buffer = await answer.arrayBuffer();
  tell({type: "file", id: data.id, buffer}, [buffer]);
});
</script>"""


@dataclass
class Framed:
    """A page of an analysis, shown. faults: what its console complained about, and what it asked of the network."""

    page: Page
    faults: list[str]

    @property
    def frame(self) -> FrameLocator:
        return self.page.frame_locator("iframe")

    def said(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page.evaluate("kind => window.said.filter(one => one.type === kind)", kind)
        return found

    def tell(self, **message: Any) -> None:
        self.page.evaluate("message => window.tell(message)", message)

    def until_said(self, kind: str, number: int = 1) -> dict[str, Any]:
        """The last message of the kind, once there are so many."""
        until(lambda: len(self.said(kind)) >= number)
        return self.said(kind)[-1]

    def drawn(self) -> None:
        """Until each frame is painted as it is laid out now, in the height that the analysis' page asked for."""
        for _ in range(2):
            for one in self.page.frames[::-1]:  # each in a process of its own
                one.evaluate(DRAWN)

    def shot(self, name: str) -> Path:
        path = ARTEFACTS / "widefield" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        width = self.page.viewport_size["width"]  # type: ignore[index]
        self.page.set_viewport_size({"width": width, "height": self.page.evaluate("document.body.scrollHeight")})
        self.drawn()
        self.page.screenshot(path=path, animations="disabled")
        return path


@contextmanager
def framed(
    browser: Browser, html: Path, runs: dict[str, Path], start: dict[str, Any], **options: Any
) -> Iterator[Framed]:
    """The page, told to start. runs: the folder of each run's files by its id, "" for those of a preview."""
    files = {
        run: [{"path": str(path.relative_to(folder)), "size_bytes": path.stat().st_size} for path in _files(folder)]
        for run, folder in runs.items()
    }
    first = {"files": files[start.get("run") or ""], "theme": "light", "dataset": "mouse", "runs": []} | start
    host = HOST.replace("START", json.dumps(first)).replace("FILES", json.dumps(files))
    faults: list[str] = []

    def answer(route: Route) -> None:
        path = unquote(urlsplit(route.request.url).path)
        if not route.request.url.startswith(ORIGIN):
            faults.append(f"asked for {route.request.url}")
            route.abort()
        elif path == "/frame":
            headers = {"content-security-policy": POLICY, "content-type": "text/html; charset=utf-8"}
            route.fulfill(body=html.read_bytes(), headers=headers)
        elif path.startswith("/files/"):
            run, _, name = path.removeprefix("/files/").partition("/")
            route.fulfill(body=(runs[run] / name).read_bytes())
        else:
            route.fulfill(body=host if path == "/" else "", content_type="text/html")

    context = browser.new_context(**({"viewport": {"width": 1180, "height": 900}} | options))
    context.set_default_timeout(PATIENCE_MS)
    try:
        page = context.new_page()
        listen(page, faults)
        page.route("**/*", answer)
        page.goto(f"{ORIGIN}/")
        yield Framed(page, faults)
    finally:
        context.close()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
