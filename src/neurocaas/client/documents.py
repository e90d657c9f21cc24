"""The API's contract: the documents that go over the wire, read and written by the client and by the server alike.

Times are ISO 8601 in UTC, amounts are US dollars as text. An answer may have keys that this release does not know.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field

from neurocaas.documents import Document

T = TypeVar("T")
Interval = tuple[float, float, float]  # expected, low, high
Form = Literal["file", "folder"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Answer(Document):
    """What a site answers; a newer site may say more than this release knows."""

    model_config = ConfigDict(extra="ignore")


class SubmissionDocument(Document):
    """A job that is asked for, or quoted. data: staged items, one dataset each; more: further inputs, each an item.

    points: a sweep's, as they differ from `config`. private: only its user and the group's owners see the job.
    provider: whose instances it runs on; "" for the site's first.
    """

    analysis: Annotated[str, Field(min_length=1)]
    data: tuple[str, ...]
    config: dict[str, Any] = {}
    more: dict[str, str] = {}
    seed: int = 0
    points: tuple[dict[str, Any], ...] = ()
    timeout_minutes: float | None = None
    save: bool = False
    fresh: bool = False
    private: bool = False
    provider: str = ""


class JobSummary(Answer):
    """One line about a job."""

    job: str
    analysis: str
    status: str
    reason: str
    message: str
    user: str
    submitted_at: str | None
    started_at: str | None
    ended_at: str | None


class AttemptDescription(Answer):
    """One try of a stack on one instance."""

    number: int
    status: str
    reason: str
    message: str
    provider: str
    instance_type: str
    price: str
    started_at: str | None
    ended_at: str | None
    exit_code: int | None
    usage: dict[str, Any] | None
    cost_dollars: str


class ReusedFrom(Answer):
    """The stack whose results answered this one."""

    job: str
    stack: int


class StackDescription(Answer):
    """One stack of a job: a dataset at one step and point. progress: from 0 to 1. folder: of its results."""

    index: int
    step: str
    name: str
    dataset: str
    label: str
    folder: str
    status: str
    reason: str
    message: str
    remedy: str
    progress: float
    note: str
    started_at: str | None
    ended_at: str | None
    seconds: float | None
    reused_from: ReusedFrom | None
    not_reused: str
    cost_dollars: str
    attempts: tuple[AttemptDescription, ...]


class StepDescription(Answer):
    """One step of a job's plan. version: full digest; environment: its digest once it is known."""

    name: str
    analysis: str
    version: str
    environment: str | None


class OutputDescription(Answer):
    """A file of the job as a whole: a sweep's table or figure."""

    path: str
    size_bytes: int
    sha256: str


class JobDescription(JobSummary):
    """Everything about a job."""

    version: str
    git_commit: str | None
    config: dict[str, Any]
    sweep: tuple[dict[str, Any], ...]
    seed: int
    price: str
    provider: str = ""
    retry_of: str | None
    bound_dollars: str
    held_dollars: str
    cost_dollars: str
    steps: tuple[StepDescription, ...]
    outputs: tuple[OutputDescription, ...]
    stacks: tuple[StackDescription, ...]


class Considered(Answer):
    """An instance type, and why it was taken or not."""

    instance_type: str
    taken: bool
    why: str


class StepQuote(Answer):
    """What one step will take. saves: the save price is offered. elsewhere: [type, price] on another provider."""

    name: str
    analysis: str
    stacks: int
    reused: int
    seconds_each: Interval | None
    dollars: Interval | None
    history: str
    limit_minutes: float
    instance_type: str
    price_per_hour: str
    saves: bool
    considered: tuple[Considered, ...]
    elsewhere: tuple[tuple[str, str], ...] = ()


class QuoteDocument(Answer):
    """What a job will take. bound_dollars: what is held until it ends. Budgets by user, the group's as `group`."""

    analysis: str
    datasets: int
    stacks: int
    reused: int
    price: Literal["standard", "save"]
    seconds: Interval | None
    dollars: Interval | None
    bound_dollars: str
    steps: tuple[StepQuote, ...]
    budget_dollars: dict[str, str]
    budget_left_dollars: dict[str, str]
    why_not_reused: dict[str, int]


class AnalysisSummary(Answer):
    """An analysis and its current version (full digest); versions: all digests in the site's archive."""

    name: str
    version: str
    label: str
    committed: bool
    title: str
    summary: str
    versions: tuple[str, ...] = ()


class AnalysisDescription(Answer):
    """An analysis version: its blueprint as written, and the JSON Schema of its parameters.

    parts: of a composite, the description of each part by its name in the plan.
    """

    version: str
    label: str
    git_commit: str | None
    blueprint: dict[str, Any]
    parameters: dict[str, Any]
    parts: dict[str, AnalysisDescription] = {}


class ItemDocument(Answer):
    """A staged file or folder. expires_at: when it is deleted; None if `keep`."""

    id: str
    name: str
    form: Form
    size_bytes: int
    sha256: str
    tags: tuple[str, ...]
    uploaded_by: str
    created_at: str
    expires_at: str | None
    keep: bool


class ItemChanges(Document):
    """What is to be changed about an item; what is left out stays."""

    tags: tuple[str, ...] | None = None
    keep: bool | None = None


class OfferedFile(Document):
    """A file that is to be uploaded. path: relative, with slashes; of a single file its name. sha256: if known."""

    path: str
    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256 | None = None


class OfferDocument(Document):
    """An upload that is asked for."""

    name: Annotated[str, Field(min_length=1)]
    form: Form
    files: tuple[OfferedFile, ...]
    tags: tuple[str, ...] = ()


class UploadFile(Answer):
    """Where one file goes. tus_url and offset with the method tus, part_bytes with s3."""

    path: str
    tus_url: str = ""
    offset: int = 0
    part_bytes: int = 0


class UploadDocument(Answer):
    """An upload. state: `checking` while what arrived is looked at. item: once it is one, at once if it is known."""

    id: str
    method: Literal["tus", "s3"] = "tus"
    state: str = "receiving"
    files: tuple[UploadFile, ...] = ()
    item: str | None = None


class PartsRequest(Document):
    """Asks where these parts of a file go; numbers count from 1."""

    path: str
    numbers: tuple[int, ...]


class PartUrl(Answer):
    """Where a part is PUT."""

    number: int
    url: str


class PartsDone(Answer):
    """The numbers of the parts that are there, whole."""

    numbers: tuple[int, ...]


class SentFile(Document):
    """A file that was sent, with its digest."""

    path: str
    sha256: Sha256


class CompleteDocument(Document):
    """Says that all is sent."""

    files: tuple[SentFile, ...] = ()


class FileDocument(Answer):
    """A file to fetch. url: absolute, or relative to the site. size_bytes and sha256: None where not known (logs)."""

    path: str
    size_bytes: int | None
    sha256: str | None
    url: str


class LogPage(Answer):
    """Some of what a stack's attempts wrote. after: what to ask with for what follows; ended: nothing will follow."""

    text: str
    after: str
    ended: bool


class Cancelled(Answer):
    """cancelled: False if the job had ended already."""

    job: str
    cancelled: bool


class Balance(Answer):
    """One account beside its budget. account: `group NAME` or `user NAME`."""

    account: str
    budget_dollars: str
    held_dollars: str
    spent_dollars: str
    left_dollars: str


class MeDocument(Answer):
    """Whose token it is. group: the one that counts where none is named."""

    user: str
    groups: tuple[str, ...]
    group: str | None
    site: str = ""


class Problem(Answer):
    """What was wrong (RFC 9457). type: ends with the error's name, as in `…/refused`; detail: its sentences."""

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    remedy: str = ""


class Page(Answer, Generic[T]):
    """Some of a list. next: what to ask with, as `cursor`, for those that follow; None at the end."""

    items: tuple[T, ...]
    next: str | None = None
