"""Run again what a certificate certifies, and say of each result whether it is the same (paper §9.4)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from neurocaas.certificate import Facts
from neurocaas.certificate.facts import DataFacts
from neurocaas.errors import NeurocaasError, NotFound, Refused
from neurocaas.protocol import DataRef, Dataset
from neurocaas.server.analyses import Resolved
from neurocaas.server.groups.deployed import check_access
from neurocaas.server.jobs.admission import Admissible
from neurocaas.server.jobs.comparing import read_facts as read_facts
from neurocaas.server.jobs.datasets import folder_names
from neurocaas.server.jobs.delivered import chunks, delivered
from neurocaas.server.jobs.given_paths import check_folders, find_content
from neurocaas.server.jobs.models import Job, KnownDigest, Stack
from neurocaas.server.jobs.submit import Request, prepare_datasets
from neurocaas.server.site import Site
from neurocaas.storage import Store, fingerprint, keys


def prepare_reproduction(
    site: Site, facts: Facts, folders: Sequence[Path], group: str, user: str, provider: str = ""
) -> Admissible:
    """The job that runs the same version on the same data, all of it anew.

    folders: where to look for data that this site does not know. Raises Refused with the name and digest of what is
    missing, NotFound if the version is not to be had here.
    """
    resolved = _resolved(site, facts)
    declared = resolved.version.blueprint.inputs
    needed = {(one.sha256, one.form): one for dataset in facts.datasets for one in dataset.inputs}
    places = _Search(folders).find(needed.values())
    if missing := [one for key, one in needed.items() if key not in places]:
        raise Refused(
            "\n".join(
                f"data: {one.name} {one.filename!r} ({one.size_bytes:,} bytes, sha256 {one.sha256}) is not known here."
                for one in missing
            ),
            remedy="Give a folder that holds it, whatever its name there: --data DIR",
        )
    names = folder_names([PurePath(one.name) for one in facts.datasets])
    datasets = tuple(
        Dataset(
            name=dataset.name,
            folder=folder,
            inputs=tuple(
                DataRef(
                    name=one.name,
                    form=declared[one.name].form,
                    filename=one.filename,
                    path=str(places[one.sha256, one.form]),
                    sha256=one.sha256,
                    size_bytes=one.size_bytes,
                    fingerprint=fingerprint(places[one.sha256, one.form]),
                )
                for one in dataset.inputs
            ),
        )
        for dataset, folder in zip(facts.datasets, names, strict=True)
    )
    return prepare_datasets(site, _request(facts, group, user, provider), resolved, datasets)


def prepare_again(site: Site, facts: Facts, job: Job, group: str, user: str) -> Admissible:
    """The same for a job of this site, with the very data that it had. Raises Refused, NotFound."""
    check_access(group, facts.analysis.name)
    resolved = _resolved(site, facts)
    rows = job.stacks.values_list("inputs", flat=True)
    had = [DataRef(**one) for inputs in rows for one in inputs if not one.get("from_stacks")]
    known = {(one.name, one.sha256): one for one in had}
    wanted = {(one.name, one.sha256): one for dataset in facts.datasets for one in dataset.inputs}
    if missing := [one.filename for key, one in wanted.items() if key not in known]:
        raise Refused("\n".join(f"data: {name!r} is not known here any more." for name in missing))
    names = folder_names([PurePath(one.name) for one in facts.datasets])
    datasets = tuple(
        Dataset(name=one.name, folder=folder, inputs=tuple(known[ref.name, ref.sha256] for ref in one.inputs))
        for one, folder in zip(facts.datasets, names, strict=True)
    )
    return prepare_datasets(site, _request(facts, group, user), resolved, datasets)


def _resolved(site: Site, facts: Facts) -> Resolved:
    """The very version that was certified. Raises Refused if there is nothing to compare with, NotFound."""
    analysis = facts.analysis
    if not any(stack.outputs for stack in facts.stacks):
        raise Refused(f"Job {facts.job.id} has no results, so there is nothing to compare with; another is right.")
    try:
        return site.analyses.resolve(f"{analysis.name}@{analysis.version}")
    except NotFound as cause:
        raise NotFound(
            f"{analysis.label} is not on this site: {cause.message}",
            remedy=f"Ask {facts.site.name} for it (neurocaas analysis export), then: neurocaas analysis import FILE",
        ) from cause


def _request(facts: Facts, group: str, user: str, provider: str = "") -> Request:
    return Request(
        analysis=facts.analysis.label,
        data=(),
        group=group,
        user=user,
        config=facts.config,
        points=facts.sweep,
        seed=facts.seed,
        timeout_minutes=facts.timeout_minutes,
        fresh=True,
        provider=provider,
    )


class _Search:
    """Looks for data by content: where this site saw it last, then in the folders given."""

    def __init__(self, folders: Sequence[Path]) -> None:
        check_folders(folders)
        self._folders = folders

    def find(self, needed: Iterable[DataFacts]) -> dict[tuple[str, str], Path]:
        """A path for each piece of data that is there, by digest and form."""
        wanted = {(one.sha256, one.form): one for one in needed}
        places = self._known({sha256 for sha256, _ in wanted})
        known = {(sha256, form): places[sha256] for sha256, form in wanted if sha256 in places}
        return known | find_content(
            {key: one.size_bytes for key, one in wanted.items() if key not in known}, self._folders
        )

    def _known(self, digests: set[str]) -> dict[str, Path]:
        """Files that this site digested before and that have not changed since."""
        found: dict[str, Path] = {}
        for some in chunks(sorted(digests)):
            for one in KnownDigest.objects.filter(sha256__in=some):
                with contextlib.suppress(NeurocaasError):
                    if fingerprint(Path(one.path)) == one.fingerprint:
                        found[one.sha256] = Path(one.path)
        return found


class FirstResults:
    """The first job's results, where it ran on this site; each is brought to the folder when it is asked for."""

    def __init__(self, store: Store, facts: Facts, folder: Path) -> None:
        self._store, self._folder = store, folder
        stacks = list(
            Stack.objects.filter(job_id=facts.job.id, job__version=facts.analysis.version).select_related(
                "job", "reused_from__job"
            )
        )
        found = delivered(stacks)
        self._results = {one.index: found[one.pk].results for one in stacks if one.pk in found}

    def __call__(self, index: int, path: str) -> Path | None:
        """The file; None if it is not there."""
        if index not in self._results:
            return None
        target = self._folder / f"{index}-{Path(path).name}"
        with contextlib.suppress(NotFound):
            self._store.get_file(f"{self._results[index]}/{keys.relative(path)}", target)
            return target
        return None
