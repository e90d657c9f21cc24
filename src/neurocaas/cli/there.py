"""A site reached over the network: commands go through its API, and data is brought there first."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from neurocaas.cli.door import Asked, Json
from neurocaas.cli.output import say
from neurocaas.client import Client
from neurocaas.client.documents import Answer, SubmissionDocument
from neurocaas.documents import parse
from neurocaas.errors import Ambiguous, NotFound, Refused
from neurocaas.storage.delivery import Fetched

if TYPE_CHECKING:
    from neurocaas.blueprint import Blueprint
    from neurocaas.certificate import Facts
    from neurocaas.certificate.facts import DataFacts

JOB_ID = re.compile(r"\d{8}-[0-9a-f]{8}")
ITEM = "item:"  # before the id of data that is on the site already
LEAST_ID = 4
MEBIBYTE = 1 << 20


class There:
    """`Door` to a site over the network, as whoever is signed in."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def warm_up(self) -> None:
        return

    def analyses(self) -> tuple[list[Json], list[str]]:
        return [_json(one) for one in self._client.analyses()], []

    def analysis(self, spec: str) -> Json:
        return _json(self._client.analysis(spec))

    def sample(self, spec: str, folder: Path) -> list[Path]:
        return self._client.sample(spec, folder)

    def propose(self, asked: Asked) -> Remote:
        data, more = self._brought(asked)
        return Remote(
            self._client,
            SubmissionDocument(
                analysis=asked.analysis,
                data=data,
                config=dict(asked.config),
                more=more,
                seed=asked.seed,
                points=tuple(dict(point) for point in asked.points),
                timeout_minutes=asked.timeout_minutes,
                save=asked.save,
                fresh=asked.fresh,
                provider=asked.provider,
            ),
        )

    def propose_retry(self, job: str) -> RemoteRetry:
        return RemoteRetry(self._client, self._id(job))

    def propose_reproduction(self, facts: Facts, folders: Sequence[Path], provider: str) -> Remote:
        """The data is looked for on the site by digest, then in the folders, and what is found there is sent."""
        from neurocaas.server.jobs.given_paths import check_folders, find_content

        check_folders(folders)
        spec = f"{facts.analysis.name}@{facts.analysis.version}"
        main, _ = self._blueprint(spec).main_input
        needed: dict[tuple[str, str], DataFacts] = {
            (one.sha256, one.form): one for dataset in facts.datasets for one in dataset.inputs
        }
        items: dict[tuple[str, str], str] = {}
        for key, one in needed.items():
            for item in self._client.items(one.filename):
                if (item.sha256, item.form) == key:
                    items[key] = item.id
                    break
        sizes = {key: one.size_bytes for key, one in needed.items() if key not in items}
        for key, path in find_content(sizes, folders).items():
            if key in needed:
                items[key] = self._client.upload_as(needed[key].filename, path, progress=progress()).id
        if missing := [one for key, one in needed.items() if key not in items]:
            raise Refused(
                "\n".join(
                    f"data: {one.name} {one.filename!r} (sha256 {one.sha256}) is not known there." for one in missing
                ),
                remedy="Give a folder that holds it, whatever its name there: --data DIR",
            )
        inputs = [{one.name: items[one.sha256, one.form] for one in dataset.inputs} for dataset in facts.datasets]
        return Remote(
            self._client,
            SubmissionDocument(
                analysis=spec,
                data=tuple(one[main] for one in inputs),
                more={name: item for name, item in inputs[0].items() if name != main},
                config=facts.config,
                points=tuple(facts.sweep),
                seed=facts.seed,
                timeout_minutes=facts.timeout_minutes,
                fresh=True,
                provider=provider,
            ),
        )

    def jobs(self, last: int) -> list[Json]:
        return [_json(one) for one in self._client.jobs(last)]

    def job(self, job: str) -> Json:
        return _json(self._client.job(self._id(job)))

    def stacks(self, job: str) -> tuple[str, list[Json]]:
        described = self.job(job)
        return described["job"], described["stacks"]

    def follow(self, job: str, *, quiet: bool) -> Iterator[Json]:  # noqa: ARG002 (the site tells all the same)
        return map(_json, self._client.follow(job))

    def log(self, job: str, index: int) -> Iterator[str]:
        return self._client.follow_log(self._id(job), index, until_ended=False)

    def follow_log(self, job: str, index: int) -> Iterator[str]:
        return self._client.follow_log(self._id(job), index)

    def results(self, job: str, out: Path) -> Fetched:
        return self._client.results(self._id(job), out)

    def cancel(self, job: str) -> Json:
        return _json(self._client.cancel(self._id(job)))

    def export_crate(self, job: str, to: Path | None) -> tuple[str, Path]:
        from neurocaas.certificate.crate import ZIP, check_target

        found = self._id(job)
        target = to or Path(f"{found}-crate.zip")
        check_target(target)
        if target.suffix == ZIP:
            self._client.crate(found, target)
        else:
            self._client.crate_folder(found, target)
        return found, target

    def first_results(self, facts: Facts) -> AbstractContextManager[Callable[[int, str], Path | None]]:
        @contextmanager
        def brought() -> Iterator[Callable[[int, str], Path | None]]:
            folders = {one.index: one.folder for one in facts.stacks}
            files = {}
            with suppress(NotFound):  # it ran somewhere else
                files = {one.path: one for one in self._client.files(facts.job.id)}
            with tempfile.TemporaryDirectory(prefix="neurocaas-reproduce-") as temporary:

                def bring(index: int, path: str) -> Path | None:
                    file = files.get(f"{folders[index]}/{path}")
                    target = Path(temporary) / f"{index}-{Path(path).name}"
                    if file is not None:
                        self._client.fetch(file, target)
                    return target if file is not None else None

                yield bring

        return brought()

    def balances(self) -> list[Json]:
        return [_json(one) for one in self._client.budget()]

    def set_budget(self, dollars: Decimal, name: str | None) -> Json:
        self._client.set_budget(dollars, name)
        whose = f"user {name}" if name else f"group {self._client.me().group}"
        return {"account": whose, "budget_dollars": str(dollars)}

    def _brought(self, asked: Asked) -> tuple[tuple[str, ...], dict[str, str]]:
        """The items that are meant, those of paths once they are there; the paths are found right before."""
        blueprint = self._blueprint(asked.analysis)
        data = [one.removeprefix(ITEM) for one in asked.data if one.startswith(ITEM)]
        more = {name: one.removeprefix(ITEM) for name, one in asked.more.items() if one.startswith(ITEM)}
        paths = [one for one in asked.data if not one.startswith(ITEM)]
        others = {name: one for name, one in asked.more.items() if name not in more}
        if data and not paths:
            return tuple(data), more | {name: self._upload([Path(one)])[0] for name, one in others.items()}
        from neurocaas.server.jobs.given_paths import find

        inputs = {name: one for name, one in blueprint.inputs.items() if name not in more}
        found, shared = find(blueprint.model_copy(update={"inputs": inputs}), paths, others)
        data += self._upload([one.path for one in found])
        sent = self._upload([one.path for one in shared])
        return tuple(data), more | {one.name: item for one, item in zip(shared, sent, strict=True)}

    def _blueprint(self, spec: str) -> Blueprint:
        from neurocaas.blueprint import Blueprint

        return parse(Blueprint, self._client.analysis(spec).blueprint, spec)

    def _upload(self, paths: Sequence[Path]) -> list[str]:
        return [one.id for one in self._client.upload(paths, progress=progress())]

    def _id(self, text: str) -> str:
        """The full id of the job that begins or ends so. Raises NotFound or Ambiguous."""
        if JOB_ID.fullmatch(text):
            return text
        near = self._client.jobs(100, search=text) if len(text) >= LEAST_ID else []
        found = [one.job for one in near if one.job.startswith(text) or one.job.endswith(text)]
        if not found:
            raise NotFound(f"There is no job {text!r} on {self._client.url}.", remedy="neurocaas jobs lists them.")
        if len(found) > 1:
            raise Ambiguous(f"{text!r} fits more than one job; give more of its id.")
        return found[0]


class Remote:
    """`Proposal` of a job whose data is on the site."""

    def __init__(self, client: Client, submission: SubmissionDocument) -> None:
        self._client = client
        self._submission = submission

    def quote(self, *, in_full: bool = False) -> Json:  # noqa: ARG002 (the site says all that it knows)
        return _json(self._client.quote(self._submission))

    def admit(self) -> Json:
        return _json(self._client.submit(self._submission))


class RemoteRetry:
    """`Proposal` of a job that runs again what did not succeed; what that will take the site does not say."""

    def __init__(self, client: Client, job: str) -> None:
        self._client = client
        self._job = job

    def quote(self, *, in_full: bool = False) -> None:  # noqa: ARG002 (see above)
        return

    def admit(self) -> Json:
        return _json(self._client.retry(self._job))


def progress() -> Callable[[Path, int, int], None]:
    """Tells on standard error how far uploads are: live on a terminal, a line per file elsewhere."""
    told: set[Path] = set()
    live = sys.stderr.isatty()

    def tell(path: Path, sent: int, whole: int) -> None:
        if live:
            share = f"{sent / whole:4.0%}" if whole else "100%"
            end = "\n" if sent >= whole else ""
            sys.stderr.write(f"\r{path.name}: {share} of {whole / MEBIBYTE:.1f} MiB{end}")
            sys.stderr.flush()
        elif sent >= whole and path not in told:
            told.add(path)
            say(f"{path.name}: {whole / MEBIBYTE:.1f} MiB sent.")

    return tell


def _json(answer: Answer) -> Json:
    return answer.model_dump(mode="json")
