"""Datasets given as paths on this machine: checked, digested, and named; never copied (paper Fig. 2, upload)."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from neurocaas.blueprint.model import GIB, Blueprint, Input
from neurocaas.errors import NeurocaasError, Refused
from neurocaas.protocol import DataRef, Dataset
from neurocaas.server.jobs.kinds import contradiction
from neurocaas.server.jobs.models import KnownDigest
from neurocaas.storage import digest_many, fingerprint, keys

MAX_DATASETS = 100_000
JOB_OUTPUTS = frozenset({"sweep.csv", "sweep.png"})  # files of a job as a whole, beside its datasets' folders


@dataclass(frozen=True, kw_only=True)
class _Found:
    """One piece of data that passed its checks, before it is digested."""

    name: str
    one: Input
    path: Path


def stage(blueprint: Blueprint, data: Sequence[str], more: Mapping[str, str]) -> tuple[Dataset, ...]:
    """One dataset per file or folder in `data`, each with the other named inputs in `more` (input name -> path).

    Raises Refused with one sentence for each thing that is not right; then nothing was kept.
    """
    main_name, main = blueprint.main_input
    faults: list[str] = []
    shared = _named_inputs(blueprint, main_name, more, faults)
    paths = [path for given in data for path in _expand(given, main, faults)]
    found = [_Found(name=main_name, one=main, path=path) for path in dict.fromkeys(paths)]
    faults.extend(filter(None, map(_fault, [*found, *shared])))
    if not found and not faults:
        faults.append(f"data: found none; at least one {_wanted(main)} is right.")
    if len(found) > MAX_DATASETS:
        faults.append(f"data: found {len(found)} datasets; at most {MAX_DATASETS} in one job are right.")
    if faults:
        raise Refused("\n".join(faults))
    references = _references([*found, *shared])
    folders = folder_names([one.path for one in found])
    return tuple(
        Dataset(name=one.path.name, folder=folder, inputs=(reference, *references[len(found) :]))
        for one, folder, reference in zip(found, folders, references, strict=False)
    )


def _named_inputs(blueprint: Blueprint, main_name: str, more: Mapping[str, str], faults: list[str]) -> list[_Found]:
    others = {name: one for name, one in blueprint.inputs.items() if name != main_name}
    right = f"one of {', '.join(others)}" if others else f"DATA alone, which fills {main_name},"
    faults.extend(f"input {name}: there is no such input; {right} is right." for name in more if name not in others)
    faults.extend(
        f"input {name}: it is missing; --input {name}=PATH is right."
        for name, one in others.items()
        if one.required and name not in more
    )
    return [_Found(name=name, one=others[name], path=_absolute(path)) for name, path in more.items() if name in others]


def _expand(given: str, main: Input, faults: list[str]) -> Iterable[Path]:
    """The paths that one word of the command line means: itself, a pattern's matches, or a folder's fitting files."""
    path = _absolute(given)
    if not os.path.lexists(path) and glob.has_magic(given):
        matches = [_absolute(one) for one in sorted(glob.glob(given, recursive=True))]  # noqa: PTH207 (absolute patterns too)
        if not matches:
            faults.append(f"{given}: the pattern fits no file.")
        return matches
    if main.form == "folder" or not path.is_dir():
        return [path]
    try:
        fitting = sorted(one for one in path.iterdir() if one.is_file() and one.suffix.lower() in _kinds(main))
    except OSError as cause:
        faults.append(f"{given} can't be read: {cause.strerror}.")
        return []
    if not fitting:
        faults.append(f"{given} is a folder without {_wanted(main)} in it.")
    return fitting


def _fault(found: _Found) -> str:
    """What is wrong with a file or folder, as a sentence; empty if nothing is."""
    path, one = found.path, found.one
    try:
        keys.segment(path.name)
        status = path.stat()
        if one.form == "folder":
            return _folder_fault(path, status)
        if stat.S_ISDIR(status.st_mode):
            return f"{path} is a folder; {_wanted(one)} is right."
        if not stat.S_ISREG(status.st_mode):
            return f"{path} is not a plain file; {_wanted(one)} is right."
        if not os.access(path, os.R_OK):
            return f"{path} can't be read: permission denied; let {_me()} read it (chmod u+r)."
        if path.suffix.lower() not in _kinds(one):
            return f"{path} is of kind {path.suffix or 'none'}; {_wanted(one)} is right."
        if status.st_size == 0:
            return f"{path} is empty; {_wanted(one)} with data in it is right."
        if status.st_size > one.max_gib * GIB:
            return f"{path} has {status.st_size / GIB:.1f} GiB; at most {one.max_gib} GiB are right."
        if wrong := contradiction(path, path.suffix.lower()):
            return f"{path} is not what its name says: {wrong}; {_wanted(one)} is right."
    except FileNotFoundError:
        return f"{path}: there is no such file."
    except OSError as cause:
        return f"{path} can't be read: {cause.strerror}."
    except NeurocaasError as cause:
        return cause.message
    return ""


def _folder_fault(path: Path, status: os.stat_result) -> str:
    if not stat.S_ISDIR(status.st_mode):
        return f"{path} is a file; a folder is right."
    if not any(path.iterdir()):
        return f"{path} is empty; a folder with data in it is right."
    return ""


def _references(found: Sequence[_Found]) -> list[DataRef]:
    """Digest what is not known yet. A digest is known while the file's fingerprint is what it was."""
    prints = [fingerprint(one.path) for one in found]
    paths = [str(one.path) for one in found]
    known = {one.path: one for one in _known(paths)}
    fresh = {
        path: mark
        for path, mark in zip(paths, prints, strict=True)
        if path not in known or known[path].fingerprint != mark
    }
    digests = dict(zip(fresh, digest_many([Path(path) for path in fresh]), strict=True))
    for path, digest in digests.items():
        if fingerprint(Path(path)) != fresh[path]:
            raise Refused(f"{path} was written to while it was read; submit it when nothing writes to it any more.")
        known[path] = KnownDigest(
            path=path, fingerprint=fresh[path], sha256=digest.sha256, size_bytes=digest.size_bytes
        )
    KnownDigest.objects.bulk_create(
        [known[path] for path in fresh],
        update_conflicts=True,
        unique_fields=["path"],
        update_fields=["fingerprint", "sha256", "size_bytes"],
    )
    return [
        DataRef(
            name=one.name,
            form=one.one.form,
            filename=one.path.name,
            path=path,
            sha256=known[path].sha256,
            size_bytes=known[path].size_bytes,
            fingerprint=known[path].fingerprint,
        )
        for one, path in zip(found, paths, strict=True)
    ]


def _known(paths: Sequence[str]) -> Iterable[KnownDigest]:
    at_once = 500  # a database bounds the parameters of one query
    for start in range(0, len(paths), at_once):
        yield from KnownDigest.objects.filter(path__in=paths[start : start + at_once])


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


def _absolute(path: str) -> Path:
    if "\0" in path:
        raise Refused("A path holds a zero byte; a path to a file is right.")
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 (resolve() would follow a link's name away)


def _kinds(one: Input) -> tuple[str, ...]:
    return one.kinds or ((".zip",) if one.form == "zip" else ())


def _wanted(one: Input) -> str:
    if one.form == "folder":
        return "a folder"
    return f"a file of kind {', '.join(_kinds(one))}"


def _me() -> str:
    return "root" if os.geteuid() == 0 else "the user who runs this"
