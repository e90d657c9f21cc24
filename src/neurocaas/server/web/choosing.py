"""The part of a new job's form in which people choose among their group's staged data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from neurocaas.blueprint import Blueprint
from neurocaas.blueprint.model import Input
from neurocaas.server.groups.scope import Caller
from neurocaas.server.jobs.datasets import kinds, wanted
from neurocaas.server.uploads.desk import identifier
from neurocaas.server.uploads.items import MAX_ITEMS_AT_ONCE, items
from neurocaas.server.uploads.models import Form, Item, Tag

SHOWN = 12
MOST_CHOSEN = 10_000


@dataclass(frozen=True, kw_only=True)
class OtherInput:
    """An input beside the main one: what may be chosen for it, and what is."""

    name: str
    title: str
    help: str
    right: str
    required: bool
    items: Sequence[Item]
    chosen: str
    faults: Sequence[str]


def choice(
    caller: Caller,
    blueprint: Blueprint,
    data: Sequence[str],
    more: Mapping[str, str],
    *,
    search: str = "",
    tag: str = "",
    faults: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """What the form shows of staged data. A number of queries that does not depend on how much there is."""
    main_name, main = blueprint.main_input
    others = {name: one for name, one in blueprint.inputs.items() if name != main_name}
    chosen = [one for one in _chosen(caller.group, data) if fits(main, one)]
    found = items(caller.group, search, tag, count=MAX_ITEMS_AT_ONCE).items if caller.group else []
    taken = {one.id for one in chosen}
    fitting = [one for one in found if fits(main, one) and one.id not in taken]
    everything = found if not (search or tag) or not others else items(caller.group, count=MAX_ITEMS_AT_ONCE).items
    return {
        "main": main,
        "right": wanted(main),
        "accept": ",".join(_accepted(blueprint)),
        "chosen": chosen,
        "chosen_bytes": sum(one.content.size_bytes for one in chosen),
        "found": fitting[:SHOWN],
        "left": max(0, len(fitting) - SHOWN),
        "search": search,
        "tag": tag,
        "tags": _tags(caller.group),
        "others": [
            _other(name, one, everything, more, (faults or {}).get(f"input.{name}", ())) for name, one in others.items()
        ],
        "data_faults": (faults or {}).get("data", ()),
    }


def fits(one: Input, item: Item) -> bool:
    """Whether the item, by its form and name, may be given for the input."""
    if one.form == "folder":
        return item.content.form == Form.FOLDER
    return item.content.form == Form.FILE and PurePath(item.name).suffix.lower() in kinds(one)


def _accepted(blueprint: Blueprint) -> list[str]:
    """The endings of files that some input takes; none where one of them takes any."""
    inputs = blueprint.inputs.values()
    if any(one.form == "folder" for one in inputs):
        return []
    return list(dict.fromkeys(ending for one in inputs for ending in kinds(one)))


def _other(name: str, one: Input, listed: Sequence[Item], more: Mapping[str, str], faults: Sequence[str]) -> OtherInput:
    return OtherInput(
        name=name,
        title=one.title,
        help=one.description,
        right=wanted(one),
        required=one.required,
        items=[item for item in listed if fits(one, item)],
        chosen=more.get(name, ""),
        faults=faults,
    )


def _chosen(group: str, data: Sequence[str]) -> list[Item]:
    """The chosen items in the order in which they were chosen; ids of no item are left out."""
    ids = [identifier(one) for one in data[:MOST_CHOSEN]]
    rows = Item.objects.filter(group_id=group, pk__in=ids).select_related("content").defer("content__parts")
    found = {one.id: one for one in rows.prefetch_related("tags")}
    return [found[one] for one in dict.fromkeys(ids) if one in found]


def _tags(group: str) -> list[str]:
    found = Tag.objects.filter(item__group_id=group).order_by("text").values_list("text", flat=True).distinct()
    return list(found[:200])
