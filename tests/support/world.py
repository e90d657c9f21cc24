"""A site on the simulated cloud, whose job managers come and go."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurocaas.bank import Providers
from neurocaas.blueprint import Family
from neurocaas.environment import Environment, EnvironmentSpec
from neurocaas.errors import EnvironmentBroken
from neurocaas.settings import Settings, SiteDocument
from neurocaas.storage import keys, open_store
from neurocaas.testing import FakeClock, SimulatedCloud

if TYPE_CHECKING:
    from neurocaas.server.jobs.job_manager import JobManager
    from neurocaas.server.jobs.models import Job

ENVIRONMENT = Environment(
    kind="python", digest="e" * 64, platform="p", mounts=(), variables={}, path=(), size_bytes=0, built_at=""
)


class Environments:
    """Environments that are there at once, or whose build fails."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken

    def find(self, spec: EnvironmentSpec) -> Environment | None:
        return None if self.broken else ENVIRONMENT

    def build(self, spec: EnvironmentSpec, **_: Any) -> Environment:
        raise EnvironmentBroken("The lock names a package that does not exist.")


class World:
    """A site with a simulated cloud, whose job managers come and go."""

    def __init__(self, root: Path, analysis: Path, *, price: int = 0, capacity: int | None = 2, **cloud: Any) -> None:
        from neurocaas.blueprint import SourceRepo
        from neurocaas.server.analyses import Analyses

        self.store = open_store((root / "store").as_uri())
        self.clock = FakeClock()
        self.cloud = SimulatedCloud(
            store=self.store, capacity=capacity, price_per_hour=Decimal(price), clock=self.clock, **cloud
        )
        self.silence_seconds = 60.0
        self.environments = Environments()
        self.repo = SourceRepo(root / "site")
        self.repo.create(analysis.parent, {"name": "test"})
        self.analyses = Analyses(repo=self.repo, store=self.store, unpacked=root / "versions")
        self.providers = Providers([self.cloud])
        self.settings = Settings(
            root=root / "site", site=SiteDocument(name="test"), database_url="", store_url=self.store.url
        )

    def submit(self, data: list[str], analysis: str = "mean", **request: Any) -> Job:
        from neurocaas.server.jobs.submit import Request, submit

        asked: dict[str, Any] = {"group": "lab", "user": "ada", **request}
        return submit(self, Request(analysis=analysis, data=data, **asked))  # type: ignore[arg-type]

    def run_protocol(self, family: Family, submission: dict[str, Any]) -> Any:
        raise AssertionError("no analysis of this test has a protocol of its own")

    def drive(self, manager: JobManager) -> None:
        """Turn after turn, the clock moved from event to event, until nothing happens any more."""
        manager.turn()
        while (event := self.cloud.next_event()) is not None or manager.due is not None:
            if event is not None and (manager.due is None or event <= manager.due):
                self.cloud.step()
                manager.turn(self.cloud.events())
            else:
                self.clock.now = max(self.clock.now, manager.due or self.clock.now)
                manager.turn(self.cloud.events())

    def manager(self, wrap: Callable[[Any], Any] = lambda part: part) -> JobManager:
        from neurocaas.server.groups.deployed import deployed_profile
        from neurocaas.server.hardware.recording import Recording
        from neurocaas.server.jobs.carrying import Carrying
        from neurocaas.server.jobs.followers import Followers
        from neurocaas.server.jobs.following import Following
        from neurocaas.server.jobs.job_manager import JobManager
        from neurocaas.server.jobs.placing import Placing
        from neurocaas.server.jobs.preparing import Preparation
        from neurocaas.server.jobs.watching import Watching

        store, cloud = wrap(self.store), wrap(self.cloud)
        placing, followers = Placing(self.cloud), Followers(self.settings)
        return JobManager(
            settings=self.settings,
            store=store,
            provider=cloud,
            placing=placing,
            following=Following(analyses=self.analyses, placing=placing, profile=deployed_profile),
            watching=Watching(
                store=store,
                provider=cloud,
                followers=followers,
                ticks=self.clock.ticks,
                silence_seconds=self.silence_seconds,
            ),
            preparation=Preparation(
                analyses=self.analyses,
                environments=self.environments,
                carry=Carrying(lambda _: self.cloud, self.store, lambda *_: ""),
                wake=lambda: None,
            ),
            summarize=lambda job: [],
            certify=wrap(lambda job, *_: store.put(keys.certificate(job.group_id, job.id), b"{}")),
            look_at_instances=Recording(provider=wrap(self.cloud), rules=self.settings.site.hardware).look,
            followers=followers,
            clock=self.clock,
        )
