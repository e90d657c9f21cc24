"""A served site whose analyses bring pages: one that is good, of a chain, and one that tries what no page may.

As a module (`python -m support.paged ROOT`) it fills the site, in a process of its own: Django is set up there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.mail import mailbox
from support.populated import LAB, TESTS, new_user
from support.served import served
from support.sites import TestSite, make_site, until

PAGES = Path(__file__).with_name("pages")
TUTORIAL = TESTS.parent / "docs" / "tutorial" / "analysis-developer.md"
LOOK = 'cat "$NEUROCAAS_INPUT_DATA" ${NEUROCAAS_INPUT_OUTLINE:-} | tr a-z A-Z > "$NEUROCAAS_RESULTS/look.txt"'
OUTLINE = {"outline": {"title": "Outline", "kinds": [".txt"], "required": False}}
FIT = 'tr -d " " < "$NEUROCAAS_CONFIG" > "$NEUROCAAS_RESULTS/fit.txt"'
LANDMARKS = {
    "type": "array",
    "description": "Where they are.",
    "default": [],
    "items": {
        "type": "object",
        "required": ["name", "x", "y"],
        "properties": {"name": {"type": "string"}, "x": {"type": "number"}, "y": {"type": "number"}},
    },
}
PARAMETERS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "threshold": {"type": "number", "default": 0.5, "description": "How much."},
        "how": {"enum": ["fast", "exact"], "default": "fast", "description": "Which way."},
        "landmarks": LANDMARKS,
    },
}


def declare_paged(site: TestSite) -> None:
    """`aligned`: a chain of `look` and `fit`, with both pages; `hostile`: one step, whose page is after the others'
    files, in both places."""
    inputs = {"data": {"title": "Data", "kinds": [".txt"]}, **OUTLINE}
    site.analysis("look", LOOK, inputs=inputs, outputs={"look": {"kind": "txt", "pattern": "look.txt"}})
    site.analysis("fit", FIT, parameters=PARAMETERS, outputs={"fit": {"kind": "txt", "pattern": "fit.txt"}})
    steps = [{"name": "look", "analysis": "look"}, {"name": "fit", "analysis": "fit"}]
    _pages(site, "aligned", setup="setup.html", results="results.html")
    pages = {"setup": {"file": "setup.html", "preview": "look"}, "results": {"file": "results.html"}}
    site.composite("aligned", pages=pages, more=OUTLINE, kind="chain", steps=steps)
    _pages(site, "hostile", page="hostile.html")
    pages = {"setup": {"file": "hostile.html", "preview": "look"}, "results": {"file": "hostile.html"}}
    site.analysis("hostile", f"{LOOK}  # not as look does it", pages=pages, commit=False)
    site("analysis", "pin", "hostile")
    site.git("add", "--all")
    site.git("commit", "--quiet", "--message", "Declare hostile")


def declare_documented(site: TestSite) -> None:
    """`documented`: the page that the tutorial shows, and the preview and parameter that it speaks of."""
    site.analysis("histogram", 'echo "[0.1, 0.6, 0.9]" > "$NEUROCAAS_RESULTS/values.json"')
    folder = site.root / "analyses" / "documented"
    folder.mkdir(parents=True)
    text = TUTORIAL.read_text()
    (folder / "setup.html").write_text(text[text.index("<!doctype html>") :].partition("```")[0])
    setup = {"file": "setup.html", "preview": "histogram"}
    site.analysis("documented", FIT, parameters=PARAMETERS, pages={"setup": setup}, commit=False)
    site("analysis", "pin", "documented")
    site.git("add", "--all")
    site.git("commit", "--quiet", "--message", "Declare documented")


def _pages(site: TestSite, name: str, **files: str) -> None:
    folder = site.root / "analyses" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in files.values():
        (folder / file).write_text((PAGES / file).read_text())


@dataclass(frozen=True, kw_only=True)
class Paged:
    """ada and bob own a group, whose data is the items, by name. jobs: of bob's, `secret` and `seen` of
    `look`, the latter on `rat.txt`, and `hostile`."""

    url: str
    items: dict[str, str]
    jobs: dict[str, str]


@contextmanager
def paged(folder: Path, environments: Path) -> Iterator[Paged]:
    """The site in the folder, served until the block ends."""
    site = make_site(folder, environments)
    declare_paged(site)
    declare_documented(site)
    try:
        with mailbox() as mail, served(site, NEUROCAAS_MAIL_URL=mail.url) as server:
            hostile = site.root / "analyses" / "hostile" / "hostile.html"
            hostile.write_text(hostile.read_text().replace("SITE", server.url))
            site.git("commit", "--quiet", "--all", "--message", "Name the site")
            command = [sys.executable, "-m", "support.paged", str(site.root)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TESTS)
            assert done.returncode == 0, done.stderr
            yield Paged(url=server.url, **json.loads(done.stdout.splitlines()[-1]))
            server.end()
    finally:
        site.end()


def _fill(root: Path) -> dict[str, Any]:
    from neurocaas.server.serving.configuration import connect_fully
    from neurocaas.settings import read_settings

    site = connect_fully(read_settings(root))
    from neurocaas.blueprint.profile import Profile, UserProfile
    from neurocaas.server.api.uploads import desk
    from neurocaas.server.groups.publishing import create_group
    from neurocaas.server.jobs import daemon
    from neurocaas.server.jobs.models import Job
    from neurocaas.server.jobs.submit import Request, submit
    from neurocaas.server.uploads.completing import store_file
    from neurocaas.server.uploads.staging import stage_items

    for name in ("ada", "bob"):
        new_user(name)
    members = {"ada": UserProfile(role="owner"), "bob": UserProfile(role="owner")}
    create_group(site, Profile(name=LAB, title="Lovelace Lab", users=members))
    items = {}
    texts = {"mouse.txt": "mouse four", "rat.txt": "rat one", "secret.txt": "nobody else's", "allen.txt": "outline"}
    for name, text in texts.items():
        incoming = root.parent / "incoming"
        incoming.write_text(f"{text}\n")
        items[name] = str(store_file(desk(), LAB, "ada", name, incoming).id)

    def job(analysis: str, name: str, **more: Any) -> str:
        asked = Request(analysis=analysis, data=(items[name],), group=LAB, user="bob", **more)
        made = submit(site, asked, lambda blueprint, data, more: stage_items([LAB], blueprint, data, more))
        daemon.wake(site.settings)
        return made.id

    jobs = {"secret": job("look", "secret.txt"), "seen": job("look", "rat.txt"), "hostile": job("hostile", "rat.txt")}
    until(lambda: not Job.objects.filter(ended_at=None).exists(), 240)
    return {"items": items, "jobs": jobs}


if __name__ == "__main__":
    print(json.dumps(_fill(Path(sys.argv[1]))))
