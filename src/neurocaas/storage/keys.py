"""Every key of the store is built here, so that no name from a user can leave its place."""

from __future__ import annotations

import re
import unicodedata

from neurocaas.errors import Refused

SEGMENT_BYTES = 200
KEY_BYTES = 1024  # S3's own limit, kept on every store so that a site can move to S3
INCOMING = ".incoming"  # where a store on disk keeps what is half written: never part of a key
RECEIVING = ".receiving"  # where it keeps uploads that have not all arrived yet, for days if need be
HIDDEN = frozenset({INCOMING, RECEIVING})

# Keys of plain names, which most are, told at once: printable ASCII, no part that is empty, "." or "..".
_PART = rf"(?!\.\.?(?:/|\Z))[ -.0-~]{{1,{SEGMENT_BYTES}}}"
_PLAIN = re.compile(rf"{_PART}(?:/{_PART})*")
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_FORBIDDEN_CHARACTERS = frozenset({"/", "\ufffe", "\uffff"})  # the last two cannot be written in S3's XML


def segment(name: str) -> str:
    """One part of a key, from a name a person gave: NFC, one line, no slash. Raises `Refused`."""
    if name.isascii() and name.isprintable():
        if name in {"", ".", ".."} or "/" in name:
            raise Refused(f"The name {name!r} can't be stored: it must name one file or folder.")
    else:
        name = _normal(name)
    size_bytes = len(name.encode())
    if size_bytes > SEGMENT_BYTES:
        raise Refused(f"The name {name[:40]!r}… has {size_bytes} bytes; at most {SEGMENT_BYTES} can be stored.")
    return name


def _normal(name: str) -> str:
    normal = unicodedata.normalize("NFC", name)
    for character in normal:
        if character in _FORBIDDEN_CHARACTERS or unicodedata.category(character) in _FORBIDDEN_CATEGORIES:
            raise Refused(
                f"The name {name[:80]!r} can't be stored: it contains {character!r}; "
                "use letters, digits, spaces and punctuation other than a slash."
            )
    return normal


def relative(path: str) -> str:
    """A path like a/b/c from a person, part by part. An absolute one, or one with `..`, is refused."""
    return "/".join(segment(part) for part in path.split("/"))


def checked(key: str) -> str:
    """The key itself if it is one that this module could have built; stores ask this of every key. Raises `Refused`."""
    if not _PLAIN.fullmatch(key) and relative(key) != key:
        raise Refused(f"The key {key[:80]!r} can't be stored: its unicode is not normalised (NFC).")
    if (top := key.partition("/")[0]) in HIDDEN:
        raise Refused(f"The key {key[:80]!r} can't be stored: {top} belongs to the store itself.")
    if len(key.encode()) > KEY_BYTES:
        raise Refused(f"The key {key[:80]!r}… has {len(key.encode())} bytes; at most {KEY_BYTES} can be stored.")
    return key


def version_archive(name: str, digest: str) -> str:
    return f"versions/{segment(name)}/{segment(digest)}.tar"


def version_record(name: str, digest: str) -> str:
    return f"versions/{segment(name)}/{segment(digest)}.json"


def tree_archive(digest: str) -> str:
    """A tree of an environment, or an interpreter's, for machines that do not see this one's files."""
    return f"environments/{segment(digest)}.tar.gz"


def data(group: str) -> str:
    """The prefix of a group's staged data."""
    return f"groups/{segment(group)}/data"


def content(group: str, place: str) -> str:
    """The prefix of one content of a group: a file or the files of a folder. No two ever had the same `place`."""
    return f"{data(group)}/{segment(place)}"


def content_file(group: str, place: str) -> str:
    return f"{content(group, place)}/file"


def content_folder(group: str, place: str) -> str:
    """The prefix of a folder's files."""
    return f"{content(group, place)}/files"


def content_folder_file(group: str, place: str, path: str) -> str:
    """One file of a folder; `path` is relative to the folder."""
    return f"{content_folder(group, place)}/{relative(path)}"


def job(group: str, job_id: str) -> str:
    """The prefix of everything that belongs to one job."""
    return f"groups/{segment(group)}/jobs/{segment(job_id)}"


def certificate(group: str, job_id: str) -> str:
    return f"{job(group, job_id)}/certificate.json"


def certificate_text(group: str, job_id: str) -> str:
    return f"{job(group, job_id)}/certificate.txt"


def job_output(group: str, job_id: str, name: str) -> str:
    """One file that belongs to a job as a whole."""
    return f"{job(group, job_id)}/outputs/{segment(name)}"


def stack(group: str, job_id: str, index: int) -> str:
    """The prefix of one stack; `index` counts from 0."""
    return f"{job(group, job_id)}/stacks/{_counted('stack', index):05d}"


def stack_manifest(group: str, job_id: str, index: int) -> str:
    return f"{stack(group, job_id, index)}/manifest.json"


def attempt(group: str, job_id: str, index: int, number: int) -> str:
    """The prefix of one attempt: it writes here and nowhere else."""
    return f"{stack(group, job_id, index)}/attempts/{_counted('attempt', number)}"


def log(prefix: str) -> str:
    """The prefix of an attempt's log segments."""
    return f"{checked(prefix)}/log"


def log_segment(prefix: str, number: int) -> str:
    return f"{log(prefix)}/{_counted('log segment', number):08d}.json"


def exit_record(prefix: str) -> str:
    return f"{checked(prefix)}/exit.json"


def lease(prefix: str) -> str:
    return f"{checked(prefix)}/lease.json"


def exchange(name: str) -> str:
    """What a runner beyond this machine fetches once: its attempt document and its first credentials."""
    return f"exchange/{segment(name)}"


def claimed(prefix: str) -> str:
    """Which runner beyond this machine performs the attempt."""
    return f"{checked(prefix)}/claimed.json"


def credentials(prefix: str) -> str:
    """Where such a runner finds renewed credentials."""
    return f"{checked(prefix)}/credentials.json"


def results(prefix: str) -> str:
    """The prefix of an attempt's results."""
    return f"{checked(prefix)}/results"


def result(prefix: str, path: str) -> str:
    """One result of an attempt; `path` is relative to the results folder, as the workflow wrote it."""
    return f"{results(prefix)}/{relative(path)}"


def checkpoints(prefix: str) -> str:
    """The prefix of all checkpoints of an attempt."""
    return f"{checked(prefix)}/checkpoints"


def checkpoint(prefix: str, number: int) -> str:
    """The prefix of one checkpoint of an attempt; they count from 1."""
    return f"{checkpoints(prefix)}/{_counted('checkpoint', number):08d}"


def attempt_of(checkpoint_prefix: str) -> str:
    """The prefix of the attempt that a checkpoint belongs to."""
    return checkpoint_prefix.rpartition("/checkpoints/")[0]


def checkpoint_manifest(checkpoint_prefix: str) -> str:
    """Written last: a checkpoint without it is none."""
    return f"{checked(checkpoint_prefix)}/manifest.json"


def checkpoint_file(checkpoint_prefix: str, index: int) -> str:
    """One file of a checkpoint, as its manifest counts them, from 0: what a workflow calls it need be no key."""
    return f"{checked(checkpoint_prefix)}/files/{_counted('checkpoint file', index):08d}"


def _counted(what: str, number: int) -> int:
    if number < 0:
        raise Refused(f"The {what} number {number} is negative; it counts from 0.")
    return number
