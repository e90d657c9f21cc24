"""Every route of a site, from its URL configuration. As a module it prints them: Django is set up in its process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Route:
    """name: may be "". address: from "/" on, with `%(name)s` for each of the parameters. room: the view's module."""

    name: str
    address: str
    parameters: tuple[str, ...]
    room: str

    def __str__(self) -> str:
        return self.name or self.address

    def path(self, values: Mapping[str, Any]) -> str:
        missing = set(self.parameters) - set(values)
        assert not missing, f"the route {self} has a parameter without a value to visit it with: {missing}"
        return self.address % {name: values[name] for name in self.parameters}


def routes() -> list[Route]:
    """All of them, in the order of the URL configuration."""
    done = subprocess.run(
        [sys.executable, "-m", "support.page_routes"],
        capture_output=True,
        text=True,
        check=True,
        cwd=TESTS,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "neurocaas.server.serving.settings"},
    )
    return [Route(**one | {"parameters": tuple(one["parameters"])}) for one in json.loads(done.stdout)]


def _walk(patterns: Any, before: str = "", parameters: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    from django.urls import URLPattern
    from django.utils.regex_helper import normalize

    for one in patterns:
        ((address, names), *_) = normalize(re.sub(r"\\Z$", "$", one.pattern.regex.pattern))
        address, names = before + address, (*parameters, *names)
        if isinstance(one, URLPattern):
            room = getattr(one.callback, "__module__", "")
            yield {"name": one.name or "", "address": address, "parameters": names, "room": room}
        else:
            yield from _walk(one.url_patterns, address, names)


if __name__ == "__main__":
    import django
    from django.urls import get_resolver

    django.setup()
    print(json.dumps(list(_walk(get_resolver().url_patterns, "/"))))
