"""Datasets given as items of staged data: checked as files on this machine are, by what was seen when they arrived."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath

from neurocaas.blueprint import Blueprint
from neurocaas.blueprint.model import Input
from neurocaas.errors import NotFound
from neurocaas.protocol import DataRef, Dataset
from neurocaas.server.jobs.datasets import Given, datasets, fault, named_inputs, refuse
from neurocaas.server.uploads.desk import identifier
from neurocaas.server.uploads.models import Form, Item

IDS_AT_ONCE = 10_000  # a database bounds the parameters of one query


def stage_items(
    groups: Collection[str], blueprint: Blueprint, data: Sequence[str], more: Mapping[str, str]
) -> tuple[Dataset, ...]:
    """One dataset per item of the groups in `data`, each with the other named inputs in `more` (input name -> id).

    One query (one more for every 10,000 ids). Raises NotFound for an id that is none of theirs, else Refused with
    one sentence for each thing that is not right, in the words that `jobs.staging.stage` uses.
    """
    main_name, main = blueprint.main_input
    faults: list[str] = []
    others = named_inputs(blueprint, more, faults)
    known = _known(groups, [*data, *more.values()])
    found = [known[one] for one in dict.fromkeys(data)]
    faults += filter(None, (fault(main, _given(one)) for one in found))
    faults += filter(None, (fault(one, _given(known[more[name]])) for name, one in others.items()))
    refuse(found, main, faults)
    return datasets(
        [reference(main_name, main, one) for one in found],
        [reference(name, one, known[more[name]]) for name, one in others.items()],
    )


def _known(groups: Collection[str], given: Sequence[str]) -> dict[str, Item]:
    """The items by their ids as they were given. Raises NotFound."""
    ids = {one: identifier(one) for one in given}
    wanted = sorted(set(ids.values()))
    rows: dict[object, Item] = {}
    for start in range(0, len(wanted), IDS_AT_ONCE):
        chosen = Item.objects.filter(group_id__in=groups, pk__in=wanted[start : start + IDS_AT_ONCE])
        rows |= {one.pk: one for one in chosen.select_related("content").defer("content__parts")}
    missing = [one for one, item_id in ids.items() if item_id not in rows]
    if missing:
        raise NotFound(
            "\n".join(
                f"data: there is no staged data {one[:80]}; an id that the list of data shows is right."
                for one in missing[:10]
            )
        )
    return {one: rows[item_id] for one, item_id in ids.items()}


def _given(item: Item) -> Given:
    content = item.content
    return Given(
        shown=item.name,
        suffix=PurePath(item.name).suffix,
        is_folder=content.form == Form.FOLDER,
        size_bytes=content.size_bytes,
        look=lambda: content.look,
    )


def reference(name: str, one: Input, item: Item) -> DataRef:
    """The item as the input `one` of this name."""
    content = item.content
    return DataRef(
        name=name,
        form=one.form,
        filename=item.name,
        key=content.key,
        sha256=content.sha256,
        size_bytes=content.size_bytes,
    )
