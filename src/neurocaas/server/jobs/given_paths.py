"""Data given as paths on this machine: what they mean for an analysis, and whether it is right. Needs no database."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurocaas.blueprint.model import Blueprint, Input
from neurocaas.errors import NeurocaasError, NotFound, Refused
from neurocaas.server.jobs.datasets import Given, fault, kinds, named_inputs, refuse, wanted
from neurocaas.server.jobs.kinds import look
from neurocaas.storage import digest_file, digest_folder, keys


@dataclass(frozen=True, kw_only=True)
class Found:
    """One piece of data that passed its checks, before it is digested or sent."""

    name: str
    one: Input
    path: Path


def find(blueprint: Blueprint, data: Sequence[str], more: Mapping[str, str]) -> tuple[list[Found], list[Found]]:
    """The datasets that `data` means, and the other named inputs, which `more` names.

    Raises Refused with one sentence for each thing that is not right.
    """
    main_name, main = blueprint.main_input
    faults: list[str] = []
    others = named_inputs(blueprint, more, faults)
    shared = [Found(name=name, one=one, path=_absolute(more[name])) for name, one in others.items()]
    paths = [path for given in data for path in _expand(given, main, faults)]
    found = [Found(name=main_name, one=main, path=path) for path in dict.fromkeys(paths)]
    faults.extend(filter(None, map(_fault, [*found, *shared])))
    refuse(found, main, faults)
    return found, shared


def check_folders(folders: Iterable[Path]) -> None:
    """Raises NotFound if one of the folders to look for data in is none."""
    for folder in folders:
        if not folder.is_dir():
            raise NotFound(f"--data {folder} is not a folder; a folder that holds the data is right.")


def find_content(wanted: Mapping[tuple[str, str], int], folders: Sequence[Path]) -> dict[tuple[str, str], Path]:
    """Where in the folders each of these is, whatever its name: by digest and form, sizes in bytes."""
    found: dict[tuple[str, str], Path] = {}
    sizes = set(wanted.values())
    for path in _candidates(folders) if wanted else ():
        with contextlib.suppress(NeurocaasError, OSError):
            if path.is_dir():
                if any(form == "folder" for key, form in wanted if (key, form) not in found):
                    found.setdefault((digest_folder(path).sha256, "folder"), path.absolute())
            elif path.stat().st_size in sizes:
                found.setdefault((digest_file(path).sha256, "file"), path.absolute())
        if wanted.keys() <= found.keys():
            break
    return found


def _candidates(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield folder
        yield from (path for path in sorted(folder.rglob("*")) if not path.is_symlink())


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
        fitting = sorted(one for one in path.iterdir() if one.is_file() and one.suffix.lower() in kinds(main))
    except OSError as cause:
        faults.append(f"{given} can't be read: {cause.strerror}.")
        return []
    if not fitting:
        faults.append(f"{given} is a folder without {wanted(main)} in it.")
    return fitting


def _fault(found: Found) -> str:
    """What is wrong with a file or folder, as a sentence; empty if nothing is."""
    path = found.path
    try:
        keys.segment(path.name)
        status = path.stat()
        is_folder = stat.S_ISDIR(status.st_mode)
        if found.one.form != "folder" and not is_folder:
            if not stat.S_ISREG(status.st_mode):
                return f"{path} is not a plain file; {wanted(found.one)} is right."
            if not os.access(path, os.R_OK):
                return f"{path} can't be read: permission denied; let {_me()} read it (chmod u+r)."
        given = Given(
            shown=str(path),
            suffix=path.suffix,
            is_folder=is_folder,
            size_bytes=int(any(path.iterdir())) if is_folder else status.st_size,
            look=lambda: look(path),
        )
        return fault(found.one, given)
    except FileNotFoundError:
        return f"{path}: there is no such file."
    except OSError as cause:
        return f"{path} can't be read: {cause.strerror}."
    except NeurocaasError as cause:
        return cause.message


def _absolute(path: str) -> Path:
    if "\0" in path:
        raise Refused("A path holds a zero byte; a path to a file is right.")
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 (resolve() would follow a link's name away)


def _me() -> str:
    return "root" if os.geteuid() == 0 else "the user who runs this"
