"""The site on this machine: commands act on its database, store and manager themselves."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from neurocaas.cli.context import user
from neurocaas.cli.door import Asked, Json
from neurocaas.cli.output import say
from neurocaas.errors import NeurocaasError, Refused
from neurocaas.settings import Settings

if TYPE_CHECKING:
    from neurocaas.blueprint import Family
    from neurocaas.certificate import Facts
    from neurocaas.server.analyses import Resolved
    from neurocaas.server.jobs.admission import Admissible
    from neurocaas.server.jobs.models import Job, Stack
    from neurocaas.server.jobs.quoting import StepQuote
    from neurocaas.server.site import Site
    from neurocaas.storage.delivery import Fetched

# Everything that a command may not need is imported where it is: `neurocaas run` must not wait for it.


class Here:
    """`Door` to a site of this machine, whose group is everybody who may write to it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def site(self) -> Site:
        from neurocaas.server.site import open_site

        return open_site(self._settings.root)

    @property
    def _group(self) -> str:
        from neurocaas.server.site import LOCAL_GROUP

        return LOCAL_GROUP

    def warm_up(self) -> None:
        """The manager gets ready while this process loads what it needs to submit."""
        from neurocaas.server.jobs import daemon

        if daemon.leader(self._settings) is None:
            daemon.start(self._settings)
        _ = self.site

    def analyses(self) -> tuple[list[Json], list[str]]:
        rows, faults = [], []
        for name in self.site.repo.names():
            try:
                rows.append(_summary(self.site.analyses.resolve(name)))
            except NeurocaasError as fault:
                faults.append(str(fault))
        for row in rows:
            row["versions"] = list(self.site.analyses.archived(row["name"]))
        return rows, faults

    def analysis(self, spec: str) -> Json:
        resolved = self.site.analyses.resolve(spec)
        return _described(resolved.family) | {"label": resolved.label, "git_commit": resolved.git_commit}

    def sample(self, spec: str, folder: Path) -> list[Path]:
        from neurocaas.server.sample import write_sample

        return write_sample(self.site, spec, folder, progress=say)

    def propose(self, asked: Asked) -> Local:
        site = self.site
        from neurocaas.server.jobs.submit import Request, prepare

        request = Request(
            analysis=asked.analysis,
            data=asked.data,
            config=asked.config,
            more=asked.more,
            seed=asked.seed,
            group=self._group,
            user=user(),
            points=asked.points,
            timeout_minutes=asked.timeout_minutes,
            save=asked.save,
            fresh=asked.fresh,
            provider=asked.provider,
        )
        return Local(site, prepare(site, request))

    def propose_retry(self, job: str) -> Local:
        row = self._row(job)
        from neurocaas.server.jobs.retry import prepare_retry

        return Local(self.site, prepare_retry(self.site, row, user()))

    def propose_reproduction(self, facts: Facts, folders: Sequence[Path], provider: str) -> Local:
        site = self.site
        from neurocaas.server.jobs.reproducing import prepare_reproduction

        return Local(site, prepare_reproduction(site, facts, folders, self._group, user(), provider))

    def jobs(self, last: int) -> list[Json]:
        _ = self.site
        from neurocaas.server.jobs.models import Job
        from neurocaas.server.jobs.view import summary

        return [summary(job) for job in Job.objects.filter(group_id=self._group).order_by("-submitted_at")[:last]]

    def job(self, job: str) -> Json:
        row = self._row(job)
        from neurocaas.server.jobs.view import description

        return description(row)

    def stacks(self, job: str) -> tuple[str, list[Json]]:
        row = self._row(job)
        return row.id, [_seen(one) for one in row.stacks.select_related("step", "job").order_by("index")]

    def follow(self, job: str, *, quiet: bool) -> Iterator[Json]:
        """A manager that died is started again."""
        row = self._row(job)
        from neurocaas.cli.following_here import follow

        return follow(self._settings, row, quiet=quiet)

    def log(self, job: str, index: int) -> Iterator[str]:
        stack = self._stack(job, index)
        from neurocaas.server.jobs.results import log_text

        return log_text(self.site.store, stack)

    def follow_log(self, job: str, index: int) -> Iterator[str]:
        stack = self._stack(job, index)
        from neurocaas.cli.following_here import follow_log

        return follow_log(self.site, stack)

    def results(self, job: str, out: Path) -> Fetched:
        row = self._row(job)
        from neurocaas.server.jobs.results import fetch

        return fetch(self.site.store, row, out)

    def cancel(self, job: str) -> Json:
        row = self._row(job)
        from neurocaas.server.jobs import daemon
        from neurocaas.server.jobs.cancel import cancel

        cancelled = cancel(row)
        daemon.wake(self._settings, daemon.CANCEL)
        return {"job": row.id, "cancelled": cancelled}

    def export_crate(self, job: str, to: Path | None) -> tuple[str, Path]:
        row = self._row(job)
        from neurocaas.certificate.crate import check_target, write_crate
        from neurocaas.server.jobs.results import fetch
        from neurocaas.server.jobs.status import ENDED
        from neurocaas.storage import keys

        if row.status not in ENDED:
            raise Refused(
                f"Job {row.id} has not ended: it is {row.status}, and has no certificate yet.",
                remedy=f"neurocaas show {row.id} says how far it is; neurocaas cancel {row.id} ends it.",
            )
        target = to or Path(f"{row.id}-crate.zip")
        check_target(target)
        certificate = json.loads(self.site.store.get(keys.certificate(row.group_id, row.id)))
        with tempfile.TemporaryDirectory(prefix=".neurocaas-export-", dir=_beside(target)) as folder:
            results = Path(folder) / "results"
            fetch(self.site.store, row, results)
            write_crate(certificate, results, target, workflows=self._workflows(certificate))
        return row.id, target

    def first_results(self, facts: Facts) -> AbstractContextManager[Callable[[int, str], Path | None]]:
        @contextmanager
        def brought() -> Iterator[Callable[[int, str], Path | None]]:
            from neurocaas.server.jobs.reproducing import FirstResults

            with tempfile.TemporaryDirectory(prefix="neurocaas-reproduce-") as folder:
                yield FirstResults(self.site.store, facts, Path(folder))

        return brought()

    def balances(self) -> list[Json]:
        _ = self.site
        from neurocaas.server.groups.deployed import deployed_profile
        from neurocaas.server.jobs import ledger

        return [
            {
                "account": f"user {one.user}" if one.user else f"group {self._group}",
                "budget_dollars": str(ledger.dollars(one.budget)),
                "held_dollars": str(ledger.dollars(one.held)),
                "spent_dollars": str(ledger.dollars(one.spent)),
                "left_dollars": str(ledger.dollars(one.left)),
            }
            for one in ledger.balances(deployed_profile(self._group))
        ]

    def set_budget(self, dollars: Decimal, name: str | None) -> Json:
        site = self.site
        from neurocaas.blueprint.profile import profile_path
        from neurocaas.server.groups.publishing import set_budget

        set_budget(site, self._group, name, dollars)
        path = profile_path(site.settings.root, self._group)
        whose = f"user {name}" if name else f"group {self._group}"
        return {"account": whose, "budget_dollars": str(dollars), "profile": str(path)}

    def _row(self, job: str) -> Job:
        _ = self.site
        from neurocaas.server.jobs.view import find_job

        return find_job(job, self._group)

    def _stack(self, job: str, index: int) -> Stack:
        return self._row(job).stacks.select_related("step", "job", "reused_from__job").get(index=index)

    def _workflows(self, certificate: Json) -> dict[str, Path]:
        """The files of each analysis version that the certificate names."""
        analysis = certificate["analysis"]
        named = {analysis["version"]: analysis["name"]}
        named |= {step["version"]: step["analysis"] for step in certificate.get("steps", ())}
        return {digest: self.site.analyses.folder(name, digest) for digest, name in named.items()}


class Local:
    """`Proposal` of a job whose rows are ready to be saved."""

    def __init__(self, site: Site, admissible: Admissible) -> None:
        self._site = site
        self._admissible = admissible

    def quote(self, *, in_full: bool = False) -> Json:
        from neurocaas.server.jobs.quoting import as_json, quote

        quoted = quote(self._site, self._admissible)
        document: Json = as_json(quoted)
        if in_full:
            for step, described in zip(quoted.steps, document["steps"], strict=True):
                described["elsewhere"] = self._elsewhere(step) if step.stacks else []
        return document

    def admit(self) -> Json:
        from neurocaas.server.jobs import daemon
        from neurocaas.server.jobs.admission import admit

        job = admit(self._brought())
        daemon.wake(self._site.settings)
        return {"job": job.id, "retry_of": job.retry_of_id}

    def _brought(self) -> Admissible:
        """With its data in the store, if the machines that it runs on do not see this one's files."""
        from neurocaas.bank import Carrier

        site = self._site
        if site.providers.of(self._admissible.job.provider).carrier is Carrier.HERE:
            return self._admissible
        from neurocaas.server.uploads.bringing import bring
        from neurocaas.server.uploads.opening import open_desk

        return bring(open_desk(site), self._admissible, progress=say)

    def _elsewhere(self, step: StepQuote) -> list[tuple[str, str]]:
        """What the same would be on AWS, for a site that does not run there."""
        settings = self._site.settings
        if "aws" in settings.site.providers:
            return []
        from neurocaas.bank import choose, site_catalogue

        catalogue = site_catalogue(settings.root)
        try:
            cloud = choose(catalogue.types, step.need)
        except Refused:
            return []
        price = f"${cloud.taken.price_per_hour:.3f} an hour, prices of {catalogue.on_demand_as_of}"
        return [(f"aws {cloud.taken.name}", f"{price}; this site has {' and '.join(settings.site.providers)}")]


def _summary(resolved: Resolved) -> Json:
    blueprint = resolved.version.blueprint
    return {
        "name": resolved.version.name,
        "version": resolved.version.digest,
        "label": resolved.label,
        "committed": resolved.git_commit is not None,
        "title": blueprint.title,
        "summary": blueprint.summary,
    }


def _described(family: Family) -> Json:
    return {
        "version": family.version.digest,
        "label": family.version.short,
        "git_commit": None,
        "blueprint": family.version.blueprint.model_dump(mode="json", by_alias=True),
        "parameters": family.parameters,
        "parts": {name: _described(part) for name, part in family.children.items()},
    }


def _seen(stack: Stack) -> Json:
    return {"index": stack.index, "name": stack.name, "dataset": stack.dataset, "folder": stack.folder}


def _beside(target: Path) -> Path:
    """The nearest folder above the target that there is: results may be too large for /tmp."""
    return next(one for one in target.absolute().parents if one.is_dir())
