"""Get an analysis version ready: files unpacked, its environment built once and carried where it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from neurocaas.blueprint import read_version
from neurocaas.environment import Environment, EnvironmentSpec
from neurocaas.errors import NeurocaasError
from neurocaas.server.analyses import Analyses
from neurocaas.server.jobs.carrying import Carry
from neurocaas.server.jobs.launching import Prepared


class Environments(Protocol):
    """The part of the environment store that preparing needs."""

    def find(self, spec: EnvironmentSpec) -> Environment | None:
        """The environment if it is built and whole."""

    def build(self, spec: EnvironmentSpec, *, progress: Callable[[str], None] = ...) -> Environment:
        """Build it, or wait for whoever is building it. Raises EnvironmentBroken."""


class Preparation:
    """Versions that are ready, and those whose environment is being built."""

    def __init__(
        self, *, analyses: Analyses, environments: Environments, carry: Carry, wake: Callable[[], object]
    ) -> None:
        self._analyses = analyses
        self._environments = environments
        self._carry = carry
        self._wake = wake
        self._builders = ThreadPoolExecutor(max_workers=1, thread_name_prefix="environment")
        self._building: dict[tuple[str, str], Future[Prepared]] = {}  # by provider and version digest
        self._ready: dict[tuple[str, str], Prepared] = {}  # by job and version digest
        self.latest: dict[str, str] = {}  # version digest -> last line of its build

    def get(self, job_id: str, name: str, digest: str, provider: str) -> Prepared | None:
        """The version, ready to run on the provider's machines; None while its environment is built or brought there.

        The environment is looked at once per job, so that a damaged one is never used silently.
        Raises EnvironmentBroken when the build failed.
        """
        if prepared := self._ready.get((job_id, digest)):
            return prepared
        if (provider, digest) not in self._building:
            self._building[provider, digest] = self._begin(name, digest, provider)
        if not self._building[provider, digest].done():
            return None
        prepared = self._building.pop((provider, digest)).result()
        self._ready[job_id, digest] = prepared
        return prepared

    def expect(self, name: str, digest: str, provider: str) -> None:
        """The version will be asked for; let its environment be built meanwhile. Faults are told when it is."""
        if (provider, digest) not in self._building and not any(ready == digest for _, ready in self._ready):
            with contextlib.suppress(NeurocaasError, OSError, ValueError):
                self._building[provider, digest] = self._begin(name, digest, provider)

    def forget(self, job_id: str) -> None:
        """The job has ended."""
        self._ready = {key: one for key, one in self._ready.items() if key[0] != job_id}

    def close(self) -> None:
        self._builders.shutdown(wait=False, cancel_futures=True)

    def _begin(self, name: str, digest: str, provider: str) -> Future[Prepared]:
        folder = self._analyses.folder(name, digest)
        version = read_version(folder, name)
        spec = self._analyses.environment(version)
        found = self._environments.find(spec)
        if found is not None and (carried := self._carry.there(found, provider)) is not None:
            ready: Future[Prepared] = Future()
            ready.set_result(Prepared(version=version, folder=folder, environment=found, carried=carried))
            return ready

        def told(line: str) -> None:
            self.latest[digest] = line

        def build() -> Prepared:
            environment = self._environments.build(spec, progress=told)
            carried = self._carry.there(environment, provider) or self._carry.bring(
                environment, provider, progress=told
            )
            return Prepared(version=version, folder=folder, environment=environment, carried=carried)

        future = self._builders.submit(build)
        future.add_done_callback(lambda _: self._wake())
        return future
