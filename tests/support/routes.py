"""Every route of a served site, as its routers have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

# Rooms that other packages wrote: one row of the table stands for all of each one's addresses.
FOREIGN = {"accounts/": "allauth", "operator/admin/": "admin"}
# What streams past Django, as the tus protocol has it; `uploads.tus` answers 405 to every other method.
UPLOADS = (("uploads", ("OPTIONS", "POST")), ("upload", ("HEAD", "PATCH", "DELETE")))


@dataclass(frozen=True, kw_only=True)
class Route:
    """name: as `reverse` takes it. methods: those that are told apart; none where the view decides by itself."""

    name: str
    path: str
    methods: tuple[str, ...] = ()


@cache
def routes() -> tuple[Route, ...]:
    """All of them, in the order in which addresses are looked up. Asked for thousands of times."""
    found = list(_django())
    for name, methods in UPLOADS:
        found.append(Route(name=name, path="uploads/" + ("<file>" if name == "upload" else ""), methods=methods))
    return tuple(found)


def foreign(room: str) -> list[str]:
    """The names of the routes in a room of another package's that need nothing but a name to be reversed."""
    return [one.name for one in _walked() if _room(one.path) == room and "<" not in one.path and "(" not in one.path]


def _django() -> Iterator[Route]:
    methods = _api_methods()
    seen = set()
    for route in _walked():
        if room := _room(route.path):
            if room not in seen:
                seen.add(room)
                prefix = next(one for one, name in FOREIGN.items() if name == room)
                yield Route(name=room, path=f"{prefix}…")
        elif route.name not in seen:
            seen.add(route.name)
            yield Route(name=route.name, path=route.path, methods=methods.get(route.name, ()))


def _walked() -> list[Route]:
    from django.urls import URLPattern, get_resolver

    found = []

    def walk(resolver: object, path: str, space: str) -> None:
        for one in resolver.url_patterns:  # type: ignore[attr-defined]
            if isinstance(one, URLPattern):
                found.append(Route(name=f"{space}{one.name}", path=path + str(one.pattern)))
            else:
                walk(one, path + str(one.pattern), f"{space}{one.namespace}:" if one.namespace else space)

    walk(get_resolver(), "", "")
    return found


def _room(path: str) -> str:
    return next((room for prefix, room in FOREIGN.items() if path.startswith(prefix)), "")


def _api_methods() -> dict[str, tuple[str, ...]]:
    """The method of each of the API's operations, by its name."""
    from neurocaas.server.api.router import api

    found: dict[str, tuple[str, ...]] = {}
    for _, router in api._routers:
        for view in router.path_operations.values():
            for operation in view.operations:
                found[f"api:{view.url_name or operation.view_func.__name__}"] = tuple(operation.methods)
    return found
