"""What a sender says that it will send, and what is right about it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from neurocaas.documents import Document, parse
from neurocaas.errors import Refused
from neurocaas.storage import keys

MAX_FILES = 10_000
MAX_FILE_BYTES = 5 << 40  # S3's own limit
MAX_TAGS = 20
TAG_CHARACTERS = 60
_SOME_PLACE = "0" * 32


class FileDocument(Document):
    """One file. `path`: below the folder. `sha256`: if the sender computed it."""

    path: str
    size_bytes: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] | None = None


class UploadDocument(Document):
    """A file or folder that is to be uploaded."""

    name: str
    form: Literal["file", "folder"] = "file"
    files: Annotated[tuple[FileDocument, ...], Field(min_length=1, max_length=MAX_FILES)]
    tags: Annotated[tuple[str, ...], Field(max_length=MAX_TAGS)] = ()
    origin: str = ""


def read(group: str, document: Any) -> UploadDocument:
    """The document, its names made such that they can be stored. Raises Refused with a sentence for each fault."""
    asked = parse(UploadDocument, document, "upload")
    if asked.form == "file":
        if len(asked.files) != 1:
            raise Refused(f"upload: files: found {len(asked.files)}; one is right for the form file.")
        files: tuple[FileDocument, ...] = (asked.files[0].model_copy(update={"path": keys.segment(asked.name)}),)
    else:
        files = tuple(one.model_copy(update={"path": keys.relative(one.path)}) for one in asked.files)
        _check_paths(group, [one.path for one in files])
    return asked.model_copy(update={"name": keys.segment(asked.name), "files": files, "tags": tags(asked.tags)})


def tags(given: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Words to find data by, each once, in order. Raises Refused."""
    found = tuple(dict.fromkeys(text for one in given if (text := one.strip())))
    for one in found:
        if len(one) > TAG_CHARACTERS or not one.isprintable():
            raise Refused(f"tags: found {one[:TAG_CHARACTERS]!r}; one line of at most {TAG_CHARACTERS} is right.")
    if len(found) > MAX_TAGS:
        raise Refused(f"tags: found {len(found)}; at most {MAX_TAGS} are right.")
    return found


def _check_paths(group: str, paths: list[str]) -> None:
    seen: set[str] = set()
    for path in paths:
        keys.checked(keys.content_folder_file(group, _SOME_PLACE, path))  # not too long as a whole either
        if path in seen:
            raise Refused(f"upload: files: found {path!r} twice; each path once is right.")
        seen.add(path)
    for path in paths:
        above = path
        while above := above.rpartition("/")[0]:
            if above in seen:
                raise Refused(f"upload: files: {above!r} is a file and, for {path!r}, a folder; one of them is right.")
