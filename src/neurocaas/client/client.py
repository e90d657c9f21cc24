"""`Client`: what the website does, from Python. Needs a site's address and an API token."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from neurocaas.client.connection import Broken, Connection, Identity, Later, Pause, backoff
from neurocaas.client.documents import (
    AnalysisDescription,
    AnalysisSummary,
    Balance,
    Cancelled,
    FileDocument,
    ItemChanges,
    ItemDocument,
    JobDescription,
    JobSummary,
    LogPage,
    MeDocument,
    QuoteDocument,
    SubmissionDocument,
)
from neurocaas.client.events import events
from neurocaas.client.fetching import fetch_archive, fetch_file, fetch_results
from neurocaas.client.memory import Memory, state_folder
from neurocaas.client.uploads import Uploads
from neurocaas.documents import Document, parse
from neurocaas.errors import NotFound, Refused
from neurocaas.storage.delivery import Fetched

D = TypeVar("D", bound=Document)
ENDED = frozenset({"succeeded", "failed", "cancelled"})
LOOK_SECONDS = 1.0
PAGE = 200

Progress = Callable[[Path, int, int], object]  # which path, bytes sent so far, bytes in all


class Client:
    """One site, as one user. Safe to use from several threads.

    url: the site's address. group: which of the user's groups; their own choice if None. state: where uploads that
    broke off are remembered. Everything raises the errors of `neurocaas.errors`: Unavailable if the site can't be
    reached.
    """

    def __init__(
        self, url: str, token: str, group: str | None = None, *, state: Path | None = None, pause: Pause = time.sleep
    ) -> None:
        token = token.strip()
        if not token.isascii() or not token.isprintable() or not token:
            raise Refused("token: found one with characters that no token has; an API token of the site is right.")
        self._connection = Connection(url, Identity(token=token, group=group), pause=pause)
        self._uploads = Uploads(self._connection, group, Memory(state or state_folder()))

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @property
    def url(self) -> str:
        return self._connection.url

    def me(self) -> MeDocument:
        """Whose token it is, and their groups."""
        return self._one(MeDocument, "me")

    def budget(self) -> list[Balance]:
        """The group's account, then those of its users."""
        return [parse(Balance, one, "the answer") for one in self._connection.json("GET", "budget")]

    def set_budget(self, dollars: Decimal, user: str | None = None) -> None:
        """Set the budget of a member, or of the group. For its owners, with a token to manage."""
        self._connection.json("PATCH", "group/budget", body={"dollars": f"{dollars:f}", "user": user}, harmless=True)

    # Analyses

    def analyses(self) -> list[AnalysisSummary]:
        """The analyses that the group may use, each in its current version."""
        return [parse(AnalysisSummary, one, "the answer") for one in self._connection.json("GET", "analyses")]

    def analysis(self, spec: str) -> AnalysisDescription:
        """One version: `name` or `name@version`."""
        return self._one(AnalysisDescription, f"analyses/{_segment(spec)}")

    def sample(self, spec: str, folder: Path) -> list[Path]:
        """Write the sample data of an analysis into `folder`, new or empty. Returns the files."""
        return fetch_archive(self._connection, f"analyses/{_segment(spec)}/sample", folder)

    # Data

    def upload(
        self, paths: Sequence[Path], *, tags: Sequence[str] = (), progress: Progress = lambda *_: None
    ) -> list[ItemDocument]:
        """Stage files and folders; content that the group has there already is not sent."""
        return [self.upload_as(path.name or path.resolve().name, path, tags=tags, progress=progress) for path in paths]

    def upload_as(
        self, name: str, path: Path, *, tags: Sequence[str] = (), progress: Progress = lambda *_: None
    ) -> ItemDocument:
        """Stage one file or folder under another name."""
        from neurocaas.client.uploads import local_files

        whole, done = sum(one.size_bytes for one in local_files(path)), 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            progress(path, done, whole)

        return self._uploads.upload(path, name=name, tags=tags, tell=tell)

    def items(self, search: str = "", *, tag: str = "") -> Iterator[ItemDocument]:
        """The group's staged data, the newest first."""
        yield from self._all(ItemDocument, "items", search=search or None, tag=tag or None)

    def item(self, item_id: str) -> ItemDocument:
        return self._one(ItemDocument, f"items/{_segment(item_id)}")

    def change_item(self, item_id: str, *, tags: Sequence[str] | None = None, keep: bool | None = None) -> ItemDocument:
        """Set the tags of an item, or whether it is kept for good; what is None stays."""
        changes = ItemChanges(tags=None if tags is None else tuple(tags), keep=keep).model_dump(mode="json")
        answered = self._connection.json("PATCH", f"items/{_segment(item_id)}", body=changes)
        return parse(ItemDocument, answered, "the answer")

    def delete_item(self, item_id: str) -> None:
        self._connection.json("DELETE", f"items/{_segment(item_id)}")

    # Jobs

    def quote(self, submission: SubmissionDocument) -> QuoteDocument:
        """What a job would take and cost; starts and holds nothing."""
        answered = self._connection.json("POST", "quotes", body=submission.model_dump(mode="json"), harmless=True)
        return parse(QuoteDocument, answered, "the answer")

    def submit(
        self,
        analysis: str | SubmissionDocument,
        data: Sequence[ItemDocument | str] = (),
        *,
        config: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> JobDescription:
        """Submit a job, once, however often the connection breaks: a document, or an analysis with its data.

        data: items, or their ids. more: the other fields of `SubmissionDocument`.
        """
        asked = analysis if isinstance(analysis, SubmissionDocument) else _submission(analysis, data, config, more)
        answered = self._connection.json("POST", "jobs", body=asked.model_dump(mode="json"), key=str(uuid.uuid4()))
        return parse(JobDescription, answered, "the answer")

    def job(self, job_id: str) -> JobDescription:
        return self._one(JobDescription, f"jobs/{_segment(job_id)}")

    def jobs(self, last: int = 20, *, search: str = "") -> list[JobSummary]:
        """The group's jobs, the newest first; search: in their ids, analyses, users and messages."""
        found: list[JobSummary] = []
        for one in self._all(JobSummary, "jobs", search=search or None, limit=max(1, min(last, PAGE))):
            if len(found) >= last:
                break
            found.append(one)
        return found

    def follow(self, job_id: str) -> Iterator[JobDescription]:
        """The job as it is now, again at each change, and at last when it has ended."""
        place, last_id, failures = f"jobs/{_segment(job_id)}/events", "", 0
        job = self.job(job_id)
        yield job
        while job.status not in ENDED:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
            seconds = None
            try:
                with self._connection.opened("GET", self._connection.api(place), headers=headers) as stream:
                    for event in events(stream.iter_lines(), last_id):
                        failures, last_id = 0, event.id
                        job = self.job(job_id)
                        yield job
                        if job.status in ENDED:
                            return
            except Later as later:
                seconds = later.seconds
            except Broken:
                pass
            failures += 1
            self._connection.pause(backoff(min(failures, 6)) if seconds is None else seconds)
            job = self.job(job_id)  # what happened meanwhile; raises if the site stays away
            yield job

    def wait(self, job_id: str) -> JobDescription:
        """The job, once it has ended."""
        for job in self.follow(job_id):
            if job.status in ENDED:
                return job
        raise AssertionError("following ends with the job's end")

    def log(self, job_id: str, stack: int, after: str = "") -> LogPage:
        """Some of what a stack wrote; `after` of the page before asks for what follows."""
        place = f"jobs/{_segment(job_id)}/stacks/{stack}/log"
        return parse(LogPage, self._connection.json("GET", place, after=after or None), "the answer")

    def follow_log(self, job_id: str, stack: int, *, until_ended: bool = True) -> Iterator[str]:
        """What a stack wrote and, until it has ended, what it writes."""
        after = ""
        while True:
            page = self.log(job_id, stack, after)
            more, after = page.after != after and bool(page.text), page.after
            if page.text:
                yield page.text
            if not more and (page.ended or not until_ended):
                return
            if not more:
                self._connection.pause(LOOK_SECONDS)

    def cancel(self, job_id: str) -> Cancelled:
        answered = self._connection.json("POST", f"jobs/{_segment(job_id)}/cancel", harmless=True)
        return parse(Cancelled, answered, "the answer")

    def retry(self, job_id: str) -> JobDescription:
        """A new job that runs again what failed or was cancelled."""
        answered = self._connection.json("POST", f"jobs/{_segment(job_id)}/retry", key=str(uuid.uuid4()))
        return parse(JobDescription, answered, "the answer")

    def files(self, job_id: str) -> list[FileDocument]:
        """The files of a job that are there by now."""
        listed = self._connection.json("GET", f"jobs/{_segment(job_id)}/files")
        return [parse(FileDocument, one, "the answer") for one in listed]

    def results(self, job_id: str, out: Path) -> Fetched:
        """Bring what there is of a job's results, logs and certificate to the folder `out`."""
        return fetch_results(self._connection, self.files(job_id), out)

    def crate(self, job_id: str, to: Path) -> None:
        """Write a job that has ended to the file `to`, as a Workflow Run RO-Crate (zip)."""
        fetch_file(self._connection, self._connection.api(f"jobs/{_segment(job_id)}/crate"), to)

    def crate_folder(self, job_id: str, to: Path) -> None:
        """The same, unpacked into `to`, a new or empty folder."""
        fetch_archive(self._connection, f"jobs/{_segment(job_id)}/crate", to)

    def fetch(self, file: FileDocument, to: Path) -> None:
        """Write one file of a job to `to`, checked against its digest."""
        fetch_file(self._connection, file.url, to, sha256=file.sha256)

    def _one(self, model: type[D], place: str) -> D:
        return parse(model, self._connection.json("GET", place), "the answer")

    def _all(
        self, model: type[D], place: str, *, search: str | None = None, tag: str | None = None, limit: int = PAGE
    ) -> Iterator[D]:
        cursor: str | None = None
        while True:
            page = self._connection.json("GET", place, cursor=cursor, search=search, tag=tag, limit=limit)
            yield from (parse(model, one, "the answer") for one in page["items"])
            cursor = page.get("next")
            if not cursor:
                return


def _submission(
    analysis: str, data: Sequence[ItemDocument | str], config: Mapping[str, Any] | None, more: Mapping[str, Any]
) -> SubmissionDocument:
    ids = [one if isinstance(one, str) else one.id for one in data]
    return parse(SubmissionDocument, {"analysis": analysis, "data": ids, "config": config or {}, **more}, "submission")


def _segment(text: str) -> str:
    """One part of an address, from what a person typed."""
    from urllib.parse import quote

    if text in {"", ".", ".."}:
        raise NotFound(f"There is nothing called {text!r}.")
    return quote(text, safe="@")
