"""A site of its own on the simulated cloud, wired as the daemon wires one; only environments are pretended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from neurocaas.bank import Providers
from neurocaas.blueprint import SourceRepo
from neurocaas.blueprint.profile import Profile
from neurocaas.certificate import SigningKey
from neurocaas.environment import Environment, EnvironmentSpec
from neurocaas.server.database import connect
from neurocaas.server.site import Site
from neurocaas.settings import read_settings
from neurocaas.testing import FakeClock, SimulatedCloud

if TYPE_CHECKING:
    from neurocaas.server.jobs.job_manager import JobManager

ANALYSIS = Path(__file__).parent / "analysis"
GROUP, USER = "lab", "ada"
BUDGET_DOLLARS = Decimal(1_000_000_000)
NEVER_SILENT = 1e9  # seconds; simulated runners write no log


class WorkingClock(FakeClock):
    """A clock that stands still, but for the processor time of who works by it: the manager's own time counts too."""

    _began: float | None = None

    def __call__(self) -> datetime:
        worked = 0.0 if self._began is None else time.process_time() - self._began
        return self.now + timedelta(seconds=worked)

    def ticks(self) -> float:
        return self().timestamp()

    def work(self, action: Callable[[], object]) -> float:
        """Do it, and move on by the processor seconds that it took. Returns them."""
        self._began = time.process_time()
        try:
            action()
        finally:
            seconds = time.process_time() - self._began
            self._began = None
            self.advance(seconds)
        return seconds


@dataclass(frozen=True)
class SimulatedSite(Site):
    """A site whose provider is the simulated cloud."""

    cloud: SimulatedCloud

    @property
    def providers(self) -> Providers:
        return Providers([self.cloud])


class Environments:
    """One environment, which is there at once."""

    def find(self, spec: EnvironmentSpec) -> Environment | None:  # noqa: ARG002 (the same for all)
        return Environment(
            kind="python", digest="e" * 64, platform="p", mounts=(), variables={}, path=(), size_bytes=0, built_at=""
        )

    def build(self, spec: EnvironmentSpec, *, progress: Callable[[str], None] = print) -> Environment:  # noqa: ARG002
        raise AssertionError("it is there already")


def make_site(root: Path) -> None:
    """A new site at `root` with the analysis `noop` and a lab that is rich enough."""
    bundled = root.parent / "bundled"
    shutil.copytree(ANALYSIS, bundled / "noop")
    SourceRepo(root).create(bundled, {"name": "scale"})
    key = read_settings(root).key
    key.parent.mkdir(mode=0o700, parents=True)
    SigningKey.create(key)


def open_simulated(root: Path, cloud: SimulatedCloud) -> SimulatedSite:
    settings = read_settings(root)
    connect(settings)
    from neurocaas.server.groups.deploy import deploy_profile

    deploy_profile(Profile(name=GROUP, budget_dollars=BUDGET_DOLLARS, user_budget_dollars=BUDGET_DOLLARS))
    return SimulatedSite(settings, cloud)


def job_manager(site: SimulatedSite) -> JobManager:
    """With the real certificate and the real summary, which are part of what many stacks cost."""
    from neurocaas.server.groups.deployed import deployed_profile
    from neurocaas.server.hardware.recording import Recording
    from neurocaas.server.jobs.carrying import Carrying
    from neurocaas.server.jobs.certify import certify
    from neurocaas.server.jobs.followers import Followers
    from neurocaas.server.jobs.following import Following
    from neurocaas.server.jobs.job_manager import JobManager
    from neurocaas.server.jobs.placing import Placing
    from neurocaas.server.jobs.preparing import Preparation
    from neurocaas.server.jobs.summary import summarize
    from neurocaas.server.jobs.watching import Watching

    settings, placing, followers = site.settings, Placing(site.cloud), Followers(site.settings)
    return JobManager(
        settings=settings,
        store=site.store,
        provider=site.cloud,
        placing=placing,
        preparation=Preparation(
            analyses=site.analyses,
            environments=Environments(),
            carry=Carrying(lambda _: site.cloud, site.store, lambda *_: ""),
            wake=lambda: None,
        ),
        following=Following(analyses=site.analyses, placing=placing, profile=deployed_profile),
        watching=Watching(
            store=site.store,
            provider=site.cloud,
            followers=followers,
            ticks=site.cloud.clock.ticks,
            silence_seconds=NEVER_SILENT,
        ),
        summarize=partial(summarize, analyses=site.analyses, store=site.store),
        certify=partial(certify, settings=settings, store=site.store, key=site.signing_key),
        look_at_instances=Recording(provider=site.cloud, rules=settings.site.hardware).look,
        followers=followers,
        clock=site.cloud.clock,
    )
