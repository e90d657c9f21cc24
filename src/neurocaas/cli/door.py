"""What the commands ask of a site, whether it is on this machine (`here`) or reached over the network (`there`).

Jobs, analyses, quotes and budgets are plain documents, as the API answers them (`neurocaas.client.documents`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from neurocaas.certificate import Facts
    from neurocaas.storage.delivery import Fetched

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a person asks for. data: paths on this machine, or what the site understands besides. provider: "" for
    the site's first."""

    analysis: str
    data: Sequence[str]
    config: Mapping[str, Any]
    more: Mapping[str, str]
    seed: int
    points: Sequence[Mapping[str, Any]]
    timeout_minutes: float | None
    save: bool
    fresh: bool
    provider: str


class Proposal(Protocol):
    """A job that was found right as far as can be told before it is admitted."""

    def quote(self, *, in_full: bool = False) -> Json | None:
        """What it will take; None where the site can't tell. in_full: beside other providers' prices too."""

    def admit(self) -> Json:
        """Submit the job. Returns at least its `job` and `retry_of`. Raises Refused with nothing started."""


class Door(Protocol):
    """One site, as one user of one group. A job is named by its id, or by enough of it."""

    def warm_up(self) -> None:
        """A job will be submitted soon."""

    def analyses(self) -> tuple[list[Json], list[str]]:
        """Summaries of the analyses that can be run, and a sentence for each one that is faulty."""

    def analysis(self, spec: str) -> Json:
        """An analysis version, with the `parts` of a composite one."""

    def sample(self, spec: str, folder: Path) -> list[Path]:
        """Write the sample data of an analysis into a new or empty folder."""

    def propose(self, asked: Asked) -> Proposal:
        """Find right what is asked for; from afar, bring the data there first. Raises Refused, NotFound."""

    def propose_retry(self, job: str) -> Proposal:
        """The same for what failed or was cancelled in a job."""

    def propose_reproduction(self, facts: Facts, folders: Sequence[Path], provider: str) -> Proposal:
        """The same for what a certificate certifies; its data is also looked for in these folders."""

    def jobs(self, last: int) -> list[Json]:
        """Summaries, the newest first."""

    def job(self, job: str) -> Json:
        """Everything about a job."""

    def stacks(self, job: str) -> tuple[str, list[Json]]:
        """The full id of a job and its stacks, each at least with `index`, `name`, `dataset` and `folder`."""

    def follow(self, job: str, *, quiet: bool) -> Iterator[Json]:
        """The job at each change until it has ended: `job`, `status` and, unless quiet, its `stacks`."""

    def log(self, job: str, index: int) -> Iterator[str]:
        """What a stack has written."""

    def follow_log(self, job: str, index: int) -> Iterator[str]:
        """What a stack has written, and what it writes until it has ended."""

    def results(self, job: str, out: Path) -> Fetched:
        """Bring a job's results, logs and certificate to a folder."""

    def cancel(self, job: str) -> Json:
        """`job`, and whether it is `cancelled`: False if it had ended already."""

    def export_crate(self, job: str, to: Path | None) -> tuple[str, Path]:
        """Write a job as a Workflow Run RO-Crate. Returns its id, and where it is."""

    def first_results(self, facts: Facts) -> AbstractContextManager[Callable[[int, str], Path | None]]:
        """What the site has of the results that a certificate names: by stack and path, brought when asked for."""

    def balances(self) -> list[Json]:
        """The group's account, then those of its users."""

    def set_budget(self, dollars: Decimal, name: str | None) -> Json:
        """Set the budget of a user, or of the group."""
