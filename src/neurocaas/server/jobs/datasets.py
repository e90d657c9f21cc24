"""What makes a file or folder right for an input, whichever door it came by; and datasets made of those that are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from neurocaas.blueprint.model import GIB, Blueprint, Input
from neurocaas.errors import Refused
from neurocaas.protocol import DataRef, Dataset
from neurocaas.server.jobs.kinds import Look, contradiction
from neurocaas.storage import keys

MAX_DATASETS = 100_000
JOB_OUTPUTS = frozenset({"sweep.csv", "sweep.png"})  # files of a job as a whole, beside its datasets' folders


@dataclass(frozen=True, kw_only=True)
class Given:
    """A file or folder that was given for an input. `look` is called only if all else is right.

    shown: what sentences call it. size_bytes: of a folder, 0 if there is nothing in it.
    """

    shown: str
    suffix: str
    is_folder: bool
    size_bytes: int
    look: Callable[[], Look]


def fault(one: Input, given: Given) -> str:
    """What is wrong with what was given for this input, as a sentence; empty if nothing is."""
    shown, right, suffix = given.shown, wanted(one), given.suffix.lower()
    if one.form == "folder":
        if not given.is_folder:
            return f"{shown} is a file; a folder is right."
        return "" if given.size_bytes else f"{shown} is empty; a folder with data in it is right."
    if given.is_folder:
        return f"{shown} is a folder; {right} is right."
    if suffix not in kinds(one):
        return f"{shown} is of kind {given.suffix or 'none'}; {right} is right."
    if given.size_bytes == 0:
        return f"{shown} is empty; {right} with data in it is right."
    if given.size_bytes > one.max_gib * GIB:
        return f"{shown} has {given.size_bytes / GIB:.1f} GiB; at most {one.max_gib} GiB are right."
    if wrong := contradiction(given.look(), suffix):
        return f"{shown} is not what its name says: {wrong}; {right} is right."
    return ""


def named_inputs(blueprint: Blueprint, more: Mapping[str, str], faults: list[str]) -> dict[str, Input]:
    """The inputs beside the main one that `more` names; a name too many or too few is added to `faults`."""
    main_name, _ = blueprint.main_input
    others = {name: one for name, one in blueprint.inputs.items() if name != main_name}
    right = f"one of {', '.join(others)}" if others else f"DATA alone, which fills {main_name},"
    faults.extend(f"input {name}: there is no such input; {right} is right." for name in more if name not in others)
    faults.extend(
        f"input {name}: it is missing; --input {name}=PATH is right."
        for name, one in others.items()
        if one.required and name not in more
    )
    return {name: others[name] for name in more if name in others}


def refuse(found: Collection[object], main: Input, faults: Sequence[str]) -> None:
    """Raises Refused if there were faults, or none or too many datasets were found."""
    faults = list(faults)
    if not found and not faults:
        faults.append(f"data: found none; at least one {wanted(main)} is right.")
    if len(found) > MAX_DATASETS:
        faults.append(f"data: found {len(found)} datasets; at most {MAX_DATASETS} in one job are right.")
    if faults:
        raise Refused("\n".join(faults))


def datasets(main: Sequence[DataRef], shared: Iterable[DataRef]) -> tuple[Dataset, ...]:
    """One dataset for each of `main`, each with all of `shared`."""
    shared = tuple(shared)
    folders = folder_names([PurePath(one.filename) for one in main])
    return tuple(
        Dataset(name=one.filename, folder=folder, inputs=(one, *shared))
        for one, folder in zip(main, folders, strict=True)
    )


def folder_names(paths: Sequence[PurePath]) -> list[str]:
    """A folder name per dataset: its file's name without the ending; told apart by numbers where two are the same."""
    names: list[str] = []
    taken: set[str] = {"certificate.json", "certificate.txt", *JOB_OUTPUTS}
    for path in paths:
        stem = keys.segment(path.stem)
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def kinds(one: Input) -> tuple[str, ...]:
    """The endings that an input's files may have."""
    return one.kinds or ((".zip",) if one.form == "zip" else ())


def wanted(one: Input) -> str:
    """What an input takes, for sentences."""
    if one.form == "folder":
        return "a folder"
    return f"a file of kind {', '.join(kinds(one))}"
