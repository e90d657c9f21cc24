"""Paths of a job for machines elsewhere: stored as the group's data, once, and only as they were digested."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.errors import Refused

if TYPE_CHECKING:
    from support.world import World

NPY = b"\x93NUMPY"


def prepared(world: World, paths: list[Path]) -> Any:
    from neurocaas.server.jobs.submit import Request, prepare

    request = Request(analysis="mean", data=[str(one) for one in paths], group="lab", user="ada")
    return prepare(world, request)  # type: ignore[arg-type]


def desk_of(world: World) -> Any:
    from neurocaas.server.uploads.desk import Desk

    return Desk(store=world.store)


@pytest.fixture
def world(sqlite_database: str, tmp_path: Path, analysis: Path) -> World:
    from support.world import World

    return World(tmp_path, analysis)


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    found = []
    for number in range(2):
        path = tmp_path / f"recording-{number}.npy"
        path.write_bytes(NPY + bytes([number]))
        found.append(path)
    return found


def test_paths_become_the_groups_data_and_stay_where_they_are(world: World, recordings: list[Path]) -> None:
    from neurocaas.server.jobs.admission import admit
    from neurocaas.server.uploads.bringing import bring
    from neurocaas.server.uploads.models import Item

    told: list[str] = []
    job = admit(bring(desk_of(world), prepared(world, recordings), progress=told.append))
    inputs = [one for stack in job.stacks.order_by("index") for one in stack.inputs]
    assert [one["path"] for one in inputs] == [None, None]
    assert [world.store.get(one["key"]) for one in inputs] == [path.read_bytes() for path in recordings]
    assert sorted(Item.objects.values_list("name", flat=True)) == ["recording-0.npy", "recording-1.npy"]
    assert len(told) == 2


def test_what_the_group_has_is_not_stored_again(world: World, recordings: list[Path]) -> None:
    from neurocaas.server.uploads.bringing import bring
    from neurocaas.server.uploads.models import Content

    first = bring(desk_of(world), prepared(world, recordings), progress=lambda _: None)
    second = bring(desk_of(world), prepared(world, recordings), progress=lambda _: None)
    assert [one.inputs[0].key for one in first.stacks] == [one.inputs[0].key for one in second.stacks]
    assert Content.objects.count() == 2


def test_a_file_that_was_changed_since_is_refused(world: World, recordings: list[Path]) -> None:
    from neurocaas.server.uploads.bringing import bring

    admissible = prepared(world, recordings)
    recordings[1].write_bytes(NPY + b"other")
    with pytest.raises(Refused, match=r"recording-1\.npy"):
        bring(desk_of(world), admissible, progress=lambda _: None)
