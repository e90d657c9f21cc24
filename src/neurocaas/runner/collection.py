"""What a workflow left in its results folder, looked at without trust and moved into the store."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from neurocaas.errors import NeurocaasError, Refused
from neurocaas.reasons import Reason
from neurocaas.runner.document import Delivered, Output
from neurocaas.runner.stopped import Stopped
from neurocaas.storage import Store, digest_file, keys


def collect(results: Path, outputs: Iterable[Output], store: Store, prefix: str) -> tuple[Delivered, ...]:
    """Check, digest and move every result, sorted by path. The workflow must be dead: nobody changes the folder.

    Raises Stopped: RESULTS_MISSING, WORKFLOW_FAILED for what no result can be, RESULTS_NOT_STORED.
    """
    found = {_name(path, results): path for path in sorted(_files(results, results))}
    if missing := [one for one in outputs if one.required and not any(map(matcher(one.pattern).fullmatch, found))]:
        named = ", ".join(f"{one.name!r} ({one.pattern})" for one in missing)
        raise Stopped(Reason.RESULTS_MISSING, f"The workflow ended well but did not write {named} into its results.")
    try:
        return tuple(_deliver(name, path, store, prefix) for name, path in found.items())
    except NeurocaasError as cause:
        raise Stopped(Reason.RESULTS_NOT_STORED, f"The results could not be stored: {cause.message}") from cause


def _deliver(name: str, path: Path, store: Store, prefix: str) -> Delivered:
    digest = digest_file(path)
    store.put_file(path, keys.result(prefix, name), move=True)
    return Delivered(path=name, size_bytes=digest.size_bytes, sha256=digest.sha256)


def _name(path: Path, results: Path) -> str:
    try:
        return keys.relative(path.relative_to(results).as_posix())
    except Refused as cause:
        raise Stopped(Reason.WORKFLOW_FAILED, f"A result has a name that can't be kept. {cause.message}") from cause


def _files(folder: Path, results: Path) -> Iterator[Path]:
    """Every regular file below `folder`, made ours and readable. Raises Stopped for anything that is no result."""
    _own(folder, 0o755)
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                yield from _files(path, results)
            elif stat.S_ISREG(mode):
                _own(path, 0o644)
                yield path
            elif not (stat.S_ISLNK(mode) and _stays(path, results)):
                named = path.relative_to(results).as_posix()
                what = "a link that leads out of the results" if stat.S_ISLNK(mode) else "no file but a device or pipe"
                raise Stopped(Reason.WORKFLOW_FAILED, f"The result {named!r} is {what}; results are files and folders.")


def _stays(link: Path, results: Path) -> bool:
    """Whether a link names something in the results: that is delivered under its own name, so the link is left out."""
    target = str(link.readlink())
    inside = target.removeprefix("/job/results/")
    place = link.parent / target if inside == target else results / inside
    return os.path.normpath(place).startswith(f"{results}/")


def _own(path: Path, mode: int) -> None:
    """The workflow's uid loses it and the platform can read it, whatever modes the workflow set."""
    if os.geteuid() == 0:
        os.chown(path, 0, 0, follow_symlinks=False)
    path.chmod(mode)


def matcher(pattern: str) -> re.Pattern[str]:
    """A glob over paths: `*` and `?` stay within a folder, `**/` is any number of folders. A folder takes its files."""
    parts = []
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", pattern, re.DOTALL):
        if token == "**/":  # noqa: S105 - no password but a part of a glob
            parts.append("(?:[^/]+/)*")
        elif token[0] == "*":
            parts.append(".*" if len(token) > 1 else "[^/]*")
        elif token == "?":  # noqa: S105 - as above
            parts.append("[^/]")
        elif len(token) > 1:
            members = re.escape(token[1:-1].removeprefix("!")).replace(r"\-", "-")
            parts.append(f"[{'^' if token[1] == '!' else ''}{members}]")
        else:
            parts.append(re.escape(token))
    return re.compile("".join(parts) + "(?:/.*)?", re.DOTALL)
