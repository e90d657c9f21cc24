"""What the site's records of hardware (paper §9.2) hear of tasks: when each began and ended, by Slurm's clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from neurocaas.bank.provider import Instance, Placement, State
from neurocaas.bank.slurm import words
from neurocaas.bank.slurm.answers import Task, TaskState
from neurocaas.bank.slurm.instance_types import PROVIDER


class Instances:
    """Tasks that have begun, until their end was told."""

    def __init__(self) -> None:
        self._running: dict[Task, Instance] = {}
        self._ended: list[Instance] = []

    @property
    def any_running(self) -> bool:
        return bool(self._running)

    def begun(self, task: Task, state: TaskState, attempt: str, placement: Placement) -> None:
        """The task was seen. Quiet unless it runs and was not seen to before."""
        if task in self._running or state.started_at is None or words.state_of(state) is not State.RUNNING:
            return
        self._running[task] = Instance(
            provider=PROVIDER,
            id=state.id,
            instance_type=placement.instance_type.name,
            price_per_hour=placement.price_per_hour,
            save=placement.save,
            started_at=state.started_at,
            attempts=(attempt,),
        )

    def see(self, tasks: Mapping[Task, TaskState]) -> None:
        """All tasks as Slurm tells of them now: what does not run any more has ended."""
        for task, instance in [*self._running.items()]:
            state = tasks.get(task)
            if state is not None and words.state_of(state) in {State.RUNNING, State.PENDING}:
                continue
            del self._running[task]
            # What Slurm has forgotten ended before now.
            ended_at = (state and state.ended_at) or datetime.now(UTC)
            reason = (state and words.why(state)) or "Its runner ended."
            ended = replace(instance, ended_at=max(ended_at, instance.started_at), reason=reason)
            self._ended.append(ended)

    def told(self) -> list[Instance]:
        """Those that run, and those that ended since this was asked last."""
        ended, self._ended = self._ended, []
        return [*self._running.values(), *ended]
