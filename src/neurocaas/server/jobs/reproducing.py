"""Run again what a certificate certifies, and say of each result whether it is the same (paper §9.4)."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from neurocaas.certificate import Facts
from neurocaas.certificate.facts import DataFacts, StackFacts
from neurocaas.comparison import Comparison, Sameness, compare
from neurocaas.documents import parse
from neurocaas.errors import NeurocaasError, NotFound, Refused
from neurocaas.protocol import DataRef, Dataset
from neurocaas.server.analyses import Resolved
from neurocaas.server.groups.deployed import check_access
from neurocaas.server.jobs.admission import Admissible
from neurocaas.server.jobs.datasets import folder_names
from neurocaas.server.jobs.delivered import chunks, delivered
from neurocaas.server.jobs.models import Job, KnownDigest, Stack
from neurocaas.server.jobs.submit import Request, prepare_datasets
from neurocaas.server.site import Site
from neurocaas.storage import Store, digest_file, digest_folder, fingerprint, keys


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One result: its path below the job's results, and how the new one compares with the first."""

    path: str
    comparison: Comparison


def read_facts(certificate: Mapping[str, Any]) -> Facts:
    """What a certificate says. Raises Refused if it is none of this release."""
    unsealed = {name: value for name, value in certificate.items() if name not in {"format", "seal"}}
    return parse(Facts, unsealed, "the certificate")


def prepare_reproduction(site: Site, facts: Facts, folders: Sequence[Path], group: str, user: str) -> Admissible:
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
    return prepare_datasets(site, _request(facts, group, user), resolved, datasets)


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


def _request(facts: Facts, group: str, user: str) -> Request:
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
    )


class _Search:
    """Looks for data by content: where this site saw it last, then in the folders given."""

    def __init__(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise NotFound(f"--data {folder} is not a folder; a folder that holds the data is right.")
        self._folders = folders

    def find(self, needed: Iterable[DataFacts]) -> dict[tuple[str, str], Path]:
        """A path for each piece of data that is there, by digest and form."""
        wanted = {(one.sha256, one.form): one for one in needed}
        places = self._known({sha256 for sha256, _ in wanted})
        found: dict[tuple[str, str], Path] = {}
        found |= {(sha256, form): places[sha256] for sha256, form in wanted if sha256 in places}
        sizes = {one.size_bytes for key, one in wanted.items() if key not in found}
        for path in self._candidates() if sizes else ():
            with contextlib.suppress(NeurocaasError, OSError):
                if path.is_dir():
                    if any(form == "folder" for key, form in wanted if (key, form) not in found):
                        found.setdefault((digest_folder(path).sha256, "folder"), path.absolute())
                elif path.stat().st_size in sizes:
                    found.setdefault((digest_file(path).sha256, "file"), path.absolute())
            if wanted.keys() <= found.keys():
                break
        return found

    def _known(self, digests: set[str]) -> dict[str, Path]:
        """Files that this site digested before and that have not changed since."""
        found: dict[str, Path] = {}
        for some in chunks(sorted(digests)):
            for one in KnownDigest.objects.filter(sha256__in=some):
                with contextlib.suppress(NeurocaasError):
                    if fingerprint(Path(one.path)) == one.fingerprint:
                        found[one.sha256] = Path(one.path)
        return found

    def _candidates(self) -> Iterator[Path]:
        for folder in self._folders:
            yield folder
            yield from (path for path in sorted(folder.rglob("*")) if not path.is_symlink())


def compare_results(site: Site, facts: Facts, first: Path | None, job: Job, results: Path) -> Iterator[Finding]:
    """Each result of the certificate beside that of the new job, whose results were fetched.

    first: the folder with the first results, where somebody has it. What is not there is taken from this site's store,
    if the first job ran here; else digests are all there is to compare.
    """
    again = {one.index: one for one in job.stacks.select_related("job", "step", "reused_from__job")}
    stored = _Stored(site.store, facts)
    with tempfile.TemporaryDirectory(prefix="neurocaas-reproduce-") as temporary:
        for stack in facts.stacks:
            yield from _compare_stack(stack, again.get(stack.index), first, results, stored, Path(temporary))


def _compare_stack(
    stack: StackFacts, again: Stack | None, first: Path | None, results: Path, stored: _Stored, temporary: Path
) -> Iterator[Finding]:
    before = {one.path: one for one in stack.outputs}
    new = results / again.folder if again else results
    if again is not None and not before:
        if again.status == "succeeded":
            yield Finding(
                path=stack.folder, comparison=_different("It had no results the first time, and has some now.")
            )
        return
    if again is None or again.status != "succeeded":
        why = again.message if again else "the plan has no such stack any more"
        yield Finding(path=stack.folder, comparison=_different(f"It was not made again: {why}"))
        return
    for path, one in before.items():
        where = f"{stack.folder}/{path}"
        found = new / path
        if not found.is_file():
            yield Finding(path=where, comparison=_different("It was not written this time."))
            continue
        digest = digest_file(found)
        mine = first / stack.folder / path if first else None
        if mine is not None and mine.is_file() and (changed := digest_file(mine)).sha256 != one.sha256:
            told = compare(mine, found).detail if changed.sha256 != digest.sha256 else ""
            sentence = f"{mine} was altered after it was delivered. {told}".strip()
            yield Finding(path=where, comparison=_different(sentence))
        elif digest.sha256 == one.sha256:
            yield Finding(
                path=where, comparison=Comparison(verdict=Sameness.EQUAL, detail="the same bytes", largest=0.0)
            )
        else:
            expected = mine if mine is not None and mine.is_file() else stored.fetch(stack.index, path, temporary)
            missing = _different("Its bytes differ; the first result is not here, so nobody can say by how much.")
            yield Finding(path=where, comparison=compare(expected, found) if expected else missing)
    for extra in sorted(_files(new) - before.keys() - {"log.txt"}):
        yield Finding(path=f"{stack.folder}/{extra}", comparison=_different("It was not written the first time."))


class _Stored:
    """The first job's results, where it ran on this site."""

    def __init__(self, store: Store, facts: Facts) -> None:
        self._store = store
        stacks = list(
            Stack.objects.filter(job_id=facts.job.id, job__version=facts.analysis.version).select_related(
                "job", "reused_from__job"
            )
        )
        found = delivered(stacks)
        self._results = {one.index: found[one.pk].results for one in stacks if one.pk in found}

    def fetch(self, index: int, path: str, folder: Path) -> Path | None:
        """The file, brought to the folder; None if it is not there."""
        if index not in self._results:
            return None
        target = folder / f"{index}-{Path(path).name}"
        with contextlib.suppress(NotFound):
            self._store.get_file(f"{self._results[index]}/{keys.relative(path)}", target)
            return target
        return None


def _different(sentence: str) -> Comparison:
    return Comparison(verdict=Sameness.DIFFERENT, detail=sentence, largest=None)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
