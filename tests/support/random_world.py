"""A site on a moody cloud where labs submit random plans, cancel and retry, and whose job managers are killed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from neurocaas.bank import InstanceType, Launch, NoCapacity, Placement, Providers
from neurocaas.blueprint import Family, read_version
from neurocaas.blueprint.profile import Profile, UserProfile
from neurocaas.errors import Refused
from neurocaas.testing import Killed, Mortal, SimulatedCloud
from support.world import World

NEVER = 10**9
TURNS = 5000  # a story that takes more of them does not end
SWEEP_SECONDS = 30
LABELS = ("", "", "a", "b", "a/b")
LABS = ("first", "second")
USERS = ("ada", "bob")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What somebody submits. steps: how many stacks each step has. together: at the very moment of the one before."""

    steps: tuple[int, ...]
    seed: int
    lab: str
    user: str
    after_seconds: int
    together: bool
    fresh: bool
    save: bool


@dataclass(frozen=True, kw_only=True)
class Story:
    """All that happens in one example. Shares are those of attempts, from 0 to 1.

    deaths: at which of its calls each manager in turn is killed, before the call or after it. cancels: seconds, and
    which of the jobs. budgets: of each lab, of each user of it.
    """

    submissions: tuple[Submission, ...]
    cancels: tuple[tuple[int, int], ...]
    retries: int
    deaths: tuple[tuple[int, bool], ...]
    budgets: tuple[Decimal, Decimal]
    capacity: int | None
    failing: float
    lost: float
    interrupted: float
    refused: float
    silence_seconds: float
    seed: int


def write_analyses(folder: Path) -> None:
    """`planned`, whose plans are its own, and `wide`, which it uses: what it needs grows with what it gets."""
    common = {
        "environment": {"kind": "python", "python": "3.11", "lock": "requirements.lock"},
        "workflow": {"command": ["python", "/workflow/workflow.py"], "files": ["workflow.py"]},
        "inputs": {
            "matrix": {"title": "Matrix", "kinds": [".npy"]},
            "parts": {"title": "Parts", "form": "folder", "required": False},
        },
        "outputs": {"out": {"kind": "npy", "pattern": "out.npy"}},
        "parameters": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"components": {"type": "integer", "default": 1, "description": "How many."}},
        },
    }
    wide = {
        "hardware": {"grow": [{"resource": "memory_gib", "per_input_gib": "100000000"}]},
        "limits": {"timeout_minutes": 7.3, "attempts": 3, "backoff_seconds": 2.5},
    }
    _write(folder, "wide", common | wide)
    pin = f"wide@{read_version(folder / 'wide').digest}"
    planned = {
        "protocol": {"kind": "function", "file": "plan.py", "analyses": {"wide": pin}},
        "limits": {"timeout_minutes": 30, "attempts": 2, "max_cost_dollars": "1000000", "max_instances": 7},
    }
    _write(folder, "planned", common | planned)


def _write(folder: Path, name: str, document: dict[str, Any]) -> None:
    (folder / name).mkdir(parents=True)
    titled = {"name": name, "title": name, "summary": "Of random plans."} | document
    (folder / name / "blueprint.json").write_text(json.dumps(titled))
    (folder / name / "requirements.lock").write_text("")
    (folder / name / "plan.py").write_text("def plan(submission): ...\n")
    (folder / name / "workflow.py").write_text(f"print('{name}')\n")


def random_plan(steps: Sequence[int], datasets: int, random: Random, main: str = "matrix") -> dict[str, Any]:
    """A plan as an analysis' own protocol would return it: stacks fan out and in, some with a quorum.

    main: the name of the input that a file fills.
    """
    made: list[dict[str, Any]] = []
    for number, size in enumerate(steps):
        stacks = [_random_stack(made, datasets, random, main) for _ in range(size)]
        made.append({"name": f"step-{number}", "analysis": random.choice(["", "wide"]), "stacks": stacks})
    return {"steps": made}


def _random_stack(before: Sequence[dict[str, Any]], datasets: int, random: Random, main: str) -> dict[str, Any]:
    inputs: dict[str, Any] = {main: main}
    waited: set[tuple[str, int]] = set()

    def taken(most: int) -> dict[str, Any]:
        step = random.choice(before)
        stacks = random.sample(range(len(step["stacks"])), random.randint(1, min(most, len(step["stacks"]))))
        waited.update((step["name"], one) for one in stacks)
        return {"step": step["name"], "stacks": stacks, "output": "out"}

    if before and random.random() < 0.5:
        inputs[main] = taken(1)
    if before and random.random() < 0.5:
        inputs["parts"] = taken(8)
    return {
        "dataset": random.randrange(datasets),
        "label": random.choice(LABELS),
        "config": {"components": random.randint(1, 3)},
        "seed": random.randint(0, 1),
        "inputs": inputs,
        "quorum": random.randint(1, len(waited)) if waited and random.random() < 0.5 else None,
    }


@dataclass
class MoodyCloud(SimulatedCloud):
    """A cloud that sometimes has no instance though it seemed to; `watch` sees every launch before it happens."""

    refuses: Callable[[], bool] = lambda: False
    watch: Callable[[str], None] = lambda _: None

    def launch(self, launch: Launch) -> str:
        self.watch(launch.attempt)
        if self.refuses():
            raise NoCapacity("Somebody else was quicker.")
        return super().launch(launch)


def catalogue(random: Random) -> tuple[InstanceType, ...]:
    """A small instance and two large ones, at odd prices to the nano-dollar."""

    def nano(low: int, high: int) -> Decimal:
        return Decimal(random.randint(low, high)) / 10**9

    small = InstanceType(
        name="small",
        vcpus=2,
        memory_mib=4096,
        gpus=0,
        price_per_hour=nano(1, 10**9),
        save_price_per_hour=nano(0, 10**6),
    )
    dear = {"vcpus": 8, "memory_mib": 1024**2, "gpus": 0}
    large = InstanceType(name="large", price_per_hour=nano(10**9, 4 * 10**9), **dear)
    other = InstanceType(name="other", price_per_hour=nano(10**9, 9 * 10**9), **dear)
    return (small, large, other)


@dataclass(kw_only=True)
class Told:
    """One story while it is told: what was admitted, what was refused, and what was seen to have ended for good."""

    world: World
    story: Story
    plans: dict[int, dict[str, Any]]
    after_turn: Callable[[Told], None]
    random: Random
    data: list[str]
    admitted: list[str] = field(default_factory=list)
    refused: int = 0
    deaths: int = 0
    ended: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    _deaths: Iterator[tuple[int, bool]] = field(init=False)
    _turns: int = 0

    def tell(self) -> None:
        """From the first submission until every job has ended and nothing is left to happen."""
        self._deaths = iter([*self.story.deaths])
        agenda, retries = self._agenda(), self.story.retries
        manager = self._next_manager()
        while True:
            while agenda and agenda[0][0] <= self.world.clock.ticks():
                agenda.pop(0)[1]()
            if not self._open():
                if not agenda and (retries <= 0 or not self._retry()):
                    return
                retries -= not agenda
                if not self._open() and agenda:
                    self.world.clock.now += timedelta(seconds=agenda[0][0] - self.world.clock.ticks())
                    continue
            self._turns += 1
            assert self._turns < TURNS, "the story does not end"
            manager = self._turn(manager, self._move(manager, agenda))
            self.after_turn(self)

    def _agenda(self) -> list[tuple[float, Callable[[], None]]]:
        """What people do and when, in order. Those who submit together do so in threads of their own."""
        start, crowds = self.world.clock.ticks(), []
        for one in self.story.submissions:
            if one.together and crowds:
                crowds[-1].append(one)
            else:
                crowds.append([one])
        agenda: list[tuple[float, Callable[[], None]]] = [
            (start + crowd[0].after_seconds, lambda crowd=crowd: self._submit(crowd)) for crowd in crowds
        ]
        agenda += [(start + at, lambda which=which: self._cancel(which)) for at, which in self.story.cancels]
        return sorted(agenda, key=lambda one: one[0])

    def _submit(self, crowd: Sequence[Submission]) -> None:
        if len(crowd) == 1:
            outcomes = [self._submit_one(crowd[0])]
        else:
            start = threading.Barrier(len(crowd))
            with ThreadPoolExecutor(len(crowd)) as pool:
                outcomes = list(pool.map(lambda one: in_a_thread(lambda: self._submit_one(one), start), crowd))
        self.admitted += [one for one in outcomes if one]
        self.refused += sum(not one for one in outcomes)

    def _submit_one(self, one: Submission) -> str:
        request: dict[str, Any] = {"group": one.lab, "user": one.user, "seed": one.seed, "fresh": one.fresh}
        if one.save:
            request |= {"save": True, "timeout_minutes": 6.1}
        try:
            return self.world.submit(self.data, "planned", **request).id
        except Refused as refusal:
            if not refusal.message.startswith("budget:"):
                raise
            return ""

    def _cancel(self, which: int) -> None:
        from neurocaas.server.jobs.cancel import cancel
        from neurocaas.server.jobs.models import Job

        if self.admitted:
            cancel(Job.objects.get(pk=self.admitted[which % len(self.admitted)]))

    def _retry(self) -> bool:
        """Run again what failed of some job. False if nothing failed or there is no money for it."""
        from neurocaas.server.jobs.admission import admit
        from neurocaas.server.jobs.models import Job
        from neurocaas.server.jobs.retry import prepare_retry

        for job in Job.objects.filter(status__in=["failed", "cancelled"], retries=None).order_by("submitted_at"):
            try:
                self.admitted.append(admit(prepare_retry(self.world, job, job.user)).id)  # type: ignore[arg-type]
                return True
            except Refused as refusal:
                if not refusal.message.startswith("budget:"):
                    raise
        return False

    def _open(self) -> bool:
        from neurocaas.server.jobs.models import Job

        return Job.objects.filter(status__in=["waiting", "running"]).exists()

    def _move(self, manager: Any, agenda: Sequence[tuple[float, Any]]) -> bool:
        """Move the clock to what comes next. Returns whether the manager is to look at everything."""
        world, cloud, now = self.world, self.world.cloud, self.world.clock.now
        event = cloud.next_event()
        due = [one for one in (event, manager.due) if one is not None]
        if agenda:
            due.append(now + timedelta(seconds=agenda[0][0] - world.clock.ticks()))
        if cloud.running and self.random.random() < self.story.lost:
            cloud.lose(self.random.choice(cloud.running))
        elif event is not None and event == min(due):
            cloud.step()
            return self.random.random() < 0.3
        else:
            world.clock.now = max(now, min(due)) if due else now + timedelta(seconds=SWEEP_SECONDS)
        return True

    def _turn(self, manager: Any, whole: bool) -> Any:
        """One turn of the manager, or the death of it and of those after it, until one has recovered."""
        from django.db import connection

        try:
            with manager.mortally():
                manager.turn(None if whole else self.world.cloud.events())
        except Killed:
            connection.close()  # as that of a process that ends
            return self._next_manager()
        return manager

    def _next_manager(self) -> Any:
        from django.db import connection

        while True:
            dies_at, before = next(self._deaths, (NEVER, True))
            calls = [0]
            manager = self.world.manager(lambda part, c=calls, d=dies_at, b=before: Mortal(part, c, d, b))
            manager.mortally = lambda c=calls, d=dies_at, b=before: _mortal_statements(c, d, b)  # type: ignore[attr-defined]
            self.deaths += dies_at < NEVER
            try:
                with manager.mortally():  # type: ignore[attr-defined]
                    manager.recover()
                    manager.turn()
                return manager
            except Killed:
                connection.close()


@contextmanager
def _mortal_statements(calls: list[int], dies_at: int, before: bool) -> Iterator[None]:
    """Statements to the database count as calls too; what was not committed then never was."""
    from django.db import connection

    def execute(run: Callable[..., Any], *statement: Any) -> Any:
        return Mortal(run, calls, dies_at, before)(*statement)

    with connection.execute_wrapper(execute):
        yield


def in_a_thread(action: Callable[[], Any], start: threading.Barrier) -> Any:
    """The action, begun when all are there, on a connection to the database that ends with it."""
    from django.db import connection

    try:
        start.wait(timeout=60)
        return action()
    finally:
        connection.close()


class RandomWorld(World):
    """A site for many stories, one after the other; each begins with an empty database and a cloud of its own."""

    def __init__(self, root: Path) -> None:
        write_analyses(root / "bundled")
        super().__init__(root, root / "bundled" / "planned")
        self.plans: dict[int, dict[str, Any]] = {}
        self.data = []
        for number in range(3):
            path = root / f"{number}.npy"
            path.write_bytes(b"\x93NUMPY" + bytes([number]) * (number + 1))
            self.data.append(str(path))

    def run_protocol(self, family: Family, submission: dict[str, Any]) -> Any:
        return self.plans[submission["seed"]]

    def tell(self, story: Story, after_turn: Callable[[Told], None], watch: Callable[[str], None]) -> Told:
        """Let it all happen. after_turn, watch: called after every turn of a manager, and before every launch."""
        from neurocaas.server.groups.deploy import deploy_profile

        forget_everything()
        random = Random(story.seed)
        self.silence_seconds = story.silence_seconds
        self.plans = {one.seed: random_plan(one.steps, len(self.data), Random(one.seed)) for one in story.submissions}
        lab, user = story.budgets
        for name in LABS:
            users = {"bob": UserProfile(budget_dollars=user / 2)}
            deploy_profile(Profile(name=name, budget_dollars=lab, user_budget_dollars=user, users=users))

        def interrupted_after(attempt: str, placement: Placement) -> float | None:
            return random.uniform(0, 900) if random.random() < story.interrupted else None

        self.cloud = MoodyCloud(
            store=self.store,
            capacity=story.capacity,
            clock=self.clock,
            catalogue=catalogue(random),
            provisioning_seconds=11.7,
            run_seconds=lambda _: random.choice([0, 0.000001, random.uniform(1, 600), random.uniform(1, 6000)]),
            outcome=lambda _: "WORKFLOW_FAILED" if random.random() < story.failing else "",
            interrupted_after=interrupted_after,
            refuses=lambda: random.random() < story.refused,
            watch=watch,
        )
        self.providers = Providers([self.cloud])
        told = Told(world=self, story=story, plans=self.plans, after_turn=after_turn, random=random, data=self.data)
        told.tell()
        return told


def forget_everything() -> None:
    """Empty the tables."""
    from django.db import transaction

    from neurocaas.server.groups.models import Membership
    from neurocaas.server.hardware.models import InstanceRecord
    from neurocaas.server.jobs import models

    with transaction.atomic():
        InstanceRecord.objects.all().delete()
        Membership.objects.all().delete()
        for table in ("Entry", "Attempt", "Dependency", "Stack", "Step", "Job", "Account", "Spending", "Group"):
            rows = getattr(models, table).objects.all()
            rows._raw_delete(rows.db)
