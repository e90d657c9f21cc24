"""What a certificate says about a job. Every field must be given, so that none is forgotten."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from neurocaas.documents import Document
from neurocaas.reasons import Reason


def _plain_dollars(text: str) -> str:
    """Decimal writes a billionth as 1E-9; people do not."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise ValueError('an amount of US dollars such as "0.25"')
    return format(amount, "f")


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]  # ISO 8601, UTC, milliseconds
Dollars = Annotated[str, AfterValidator(_plain_dollars)]
Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Ended = Literal["succeeded", "failed", "cancelled"]


class JobFacts(Document):
    """started_at: None if nothing had to run, or it was cancelled before. bound_dollars: what it held at most.

    price: "save" for interruptible capacity. retry_of: the job whose failed stacks this one ran again.
    """

    id: Text
    group: Text
    user: str
    price: Literal["standard", "save"]
    bound_dollars: Dollars
    retry_of: str | None
    submitted_at: Time
    started_at: Time | None
    ended_at: Time | None
    status: Ended
    reason: Reason


class SiteFacts(Document):
    name: Text


class AnalysisFacts(Document):
    """version: the full digest. label: `name@<12 hex>`, or `name@dev` when the tree was not committed."""

    name: Text
    version: Sha256
    committed: bool
    label: Text
    git_commit: str | None
    execution_digest: Sha256


class EnvironmentFacts(Document):
    """digest: None if the job ended before its environment was there."""

    kind: Text
    digest: str | None
    platform: Text


class StepFacts(Document):
    """One analysis of the job's plan, with the environment in which its stacks ran."""

    name: Text
    analysis: Text
    version: Sha256
    label: Text
    execution_digest: Sha256
    environment: EnvironmentFacts


class DataFacts(Document):
    """One piece of data, by content."""

    name: str
    filename: str
    sha256: Sha256
    size_bytes: Count
    form: Literal["file", "folder"]


class DatasetFacts(Document):
    """What was submitted: a name for people, and its named inputs."""

    name: str
    inputs: tuple[DataFacts, ...]


class InputFacts(DataFacts):
    """from_stacks: the stacks of this job that wrote it; empty for what was submitted.

    sha256: of a folder that was put together from several stacks' files, the digest of their paths and digests.
    """

    from_stacks: tuple[Count, ...]


class OutputFacts(Document):
    """path: below the stack's results, as the workflow named it; for a job's own outputs, below the job's results."""

    path: Text
    size_bytes: Count
    sha256: Sha256


class HostFacts(Document):
    hostname: str
    platform: str
    cpu_model: str


class InstanceFacts(Document):
    """host: None if the runner never told."""

    provider: str
    type: str
    price: Literal["standard", "save"]
    vcpus: Count
    memory_mib: Count
    gpus: Count
    host: HostFacts | None


class SandboxFacts(Document):
    method: str
    identity: str
    limits: str


class UsageFacts(Document):
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: Count
    peak_storage_bytes: Count


class AttemptFacts(Document):
    """exit_code, sandbox, usage: None for an attempt that was lost before it wrote its exit record."""

    number: Count
    reason: Reason
    message: str
    started_at: Time | None
    ended_at: Time | None
    instance: InstanceFacts
    exit_code: int | None
    sandbox: SandboxFacts | None
    usage: UsageFacts | None
    cost_dollars: Dollars


class OriginFacts(Document):
    """The stack of an earlier job that this one was answered from, without running again or being charged.

    environment: the digest of the one that it ran in.
    """

    job: Text
    stack: Count
    environment: str | None


class StackFacts(Document):
    """folder: where the stack's outputs lie below the results that a person fetched.

    label: what tells the stacks of one step and dataset apart, such as member-3. metrics: those the analysis declares.
    """

    index: Count
    step: Text
    label: str
    dataset: str
    folder: str
    status: Ended
    reason: Reason
    message: str
    inputs: tuple[InputFacts, ...]
    config: dict[str, Any]
    seed: int
    attempts: tuple[AttemptFacts, ...]
    outputs: tuple[OutputFacts, ...]
    metrics: dict[str, float]
    reused_from: OriginFacts | None
    cost_dollars: Dollars


class SoftwareFacts(Document):
    neurocaas: Text


class Facts(Document):
    """Everything; each field is a section of the certificate, and each stack another.

    sweep: the points of a sweep, each with the parameters that differ; empty without one. outputs: those of the job as
    a whole.
    """

    job: JobFacts
    site: SiteFacts
    analysis: AnalysisFacts
    datasets: tuple[DatasetFacts, ...]
    config: dict[str, Any]
    sweep: tuple[dict[str, Any], ...]
    seed: int
    timeout_minutes: float | None
    steps: tuple[StepFacts, ...]
    stacks: tuple[StackFacts, ...]
    outputs: tuple[OutputFacts, ...]
    cost_dollars: Dollars
    software: SoftwareFacts
