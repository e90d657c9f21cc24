"""What every template keeps to, so that the strict content security policy costs nothing and nothing is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import neurocaas

WEB = Path(neurocaas.__file__).parent / "server" / "web"
TEMPLATES = sorted((WEB / "templates").rglob("*.html")) + sorted((WEB / "templates").rglob("*.svg"))
SCRIPTS = sorted((WEB / "static" / "web").glob("*.js"))
SHEETS = sorted((WEB / "static" / "web").glob("*.css"))
# allauth brings these static files itself.
FROM_ALLAUTH = ("account/", "mfa/")
DATA = "application/json"  # a script element of this type is never run

every_template = pytest.mark.parametrize(
    "template", TEMPLATES, ids=lambda path: str(path.relative_to(WEB / "templates"))
)


def violations(markup: str) -> list[str]:
    """What in this markup a policy without inline script or style refuses."""
    markup = re.sub(r"{% comment %}.*?{% endcomment %}|{%.*?%}|{#.*?#}", "", markup, flags=re.DOTALL)
    found = re.findall(
        r"\sstyle\s*=|<style\b|\son[a-z]+\s*=|javascript:|\bhx-on[:-]|\bhx-vals=.js:", markup, re.IGNORECASE
    )
    for attributes in re.findall(r"<script\b([^>]*)>", markup, re.IGNORECASE):
        if "src=" not in attributes and DATA not in attributes:
            found.append(f"<script{attributes}>")
    return found


@pytest.mark.parametrize(
    "markup",
    [
        '<p style="color: red">',
        "<script>alert(1)</script>",
        '<button onclick="go()">',
        '<a href="javascript:go()">',
        "<style>p {}</style>",
        "<div hx-on:click='go()'>",
    ],
)
def test_the_check_sees_what_the_policy_refuses(markup: str) -> None:
    assert violations(markup)


@every_template
def test_a_template_has_no_inline_script_style_or_handler(template: Path) -> None:
    assert violations(template.read_text()) == []


@every_template
def test_a_template_loads_only_files_that_exist(template: Path) -> None:
    named = re.findall(r"{% static ['\"]([^'\"]+)['\"]", template.read_text())
    assert [name for name in named if not name.startswith(FROM_ALLAUTH) and not (WEB / "static" / name).is_file()] == []


@every_template
def test_a_template_loads_nothing_from_another_host(template: Path) -> None:
    assert (
        re.findall(r"(?:src|href)=[\"']https?://[^\"']+\.(?:js|mjs|css|woff2?|png|svg)\b", template.read_text()) == []
    )


@every_template
def test_a_template_includes_only_templates_that_exist(template: Path) -> None:
    named = re.findall(r"{% (?:include|extends) ['\"]([^'\"{]+)['\"]", template.read_text())
    ours = [name for name in named if not name.startswith(("account/", "socialaccount/", "mfa/"))]
    assert [name for name in ours if not (WEB / "templates" / name).is_file()] == []


@every_template
def test_a_template_names_only_icons_that_are_drawn(template: Path) -> None:
    drawn = set(re.findall(r'<symbol id="([\w-]+)"', (WEB / "static" / "web" / "icons.svg").read_text()))
    named = re.findall(r"{% icon \"([\w-]+)\"", template.read_text()) + re.findall(
        r"picture=\"(\w+)\"", template.read_text()
    )
    assert set(named) <= drawn


def test_every_status_has_an_icon_and_colours() -> None:
    from neurocaas.server.jobs.status import Status

    icons = (WEB / "static" / "web" / "icons.svg").read_text()
    sheet = (WEB / "static" / "web" / "components.css").read_text()
    for status in Status:
        assert f'<symbol id="{status}"' in icons
        assert f".status-{status} {{" in sheet


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_imports_only_files_that_exist(script: Path) -> None:
    named = re.findall(r"^(?:import|export)\b[^;]*?[\"'](\.[^\"']+)[\"']", script.read_text(), re.MULTILINE)
    assert [name for name in named if not (script.parent / name).is_file()] == []


def test_style_sheets_use_only_colours_and_sizes_that_are_named() -> None:
    text = "\n".join(sheet.read_text() for sheet in SHEETS)
    assert set(re.findall(r"var\(--([\w-]+)", text)) <= set(re.findall(r"^\s*--([\w-]+):", text, re.MULTILINE))
