"""Launches of one turn that have the same shape go to Slurm together, as one job array."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from neurocaas.bank.slurm.commands import NotAnswering, Slurm
from neurocaas.bank.slurm.script import Performed, Shape, batch_script
from neurocaas.errors import Refused, Unavailable

log = logging.getLogger(__name__)

MOST_TASKS = 1000  # Slurm's own MaxArraySize is 1001 unless an operator says otherwise
MOST_TICKETS = 500  # each takes a kilobyte or two of a script, of which Slurm takes four megabytes
RETRY_SECONDS = 5.0


@dataclass(kw_only=True)
class Batch:
    """Attempts that go to Slurm as one array, by their index in it."""

    name: str
    shape: Shape
    attempts: list[str] = field(default_factory=list)
    performed: list[Performed] = field(default_factory=list)
    trouble: str = ""  # why it could not be sent yet

    @property
    def full(self) -> bool:
        return len(self.performed) >= (MOST_TICKETS if self.performed and self.performed[0].ticket else MOST_TASKS)


class Batches:
    """Those that are collected, and when the others were sent."""

    def __init__(self, slurm: Slurm, *, python: Path, on_the_node: bool, ticks: Callable[[], float]) -> None:
        self._slurm = slurm
        self._python = python
        self._on_the_node = on_the_node
        self._ticks = ticks
        self._unsent: list[Batch] = []
        self._sent_at: dict[str, float] = {}
        self._retry_at = 0.0

    def place(self, shape: Shape) -> tuple[str, int]:
        """The batch and the index that the next attempt of this shape gets."""
        batch = self._open(shape)
        return batch.name, len(batch.performed)

    def add(self, shape: Shape, attempt: str, performed: Performed) -> None:
        batch = self._open(shape)
        batch.attempts.append(attempt)
        batch.performed.append(performed)

    def unsent(self, name: str) -> Batch | None:
        return next((batch for batch in self._unsent if batch.name == name), None)

    def sent_after(self, name: str, tick: float) -> bool:
        return self._sent_at.get(name, tick) > tick

    def send(self) -> list[tuple[Batch, str]]:
        """Send all, unless Slurm did not answer a moment ago. Returns those that it refused, and its reasons."""
        if self._ticks() < self._retry_at:
            return []
        refused = []
        for batch in [one for one in self._unsent if one.performed]:
            try:
                self._send(batch)
            except NotAnswering as fault:
                log.warning("%s could not be sent: %s", batch.name, fault)
                batch.trouble = fault.message
                self._retry_at = self._ticks() + RETRY_SECONDS
                break
            except (Refused, Unavailable) as fault:
                log.warning("%s was refused: %s", batch.name, fault)
                refused.append((batch, fault.message))
            else:
                self._sent_at[batch.name] = self._ticks()
            self._unsent.remove(batch)
        return refused

    def seen(self, tick: float) -> None:
        """Slurm was asked at that moment for all its tasks: what was sent before is known from it."""
        self._sent_at = {name: sent_at for name, sent_at in self._sent_at.items() if sent_at > tick}

    def _open(self, shape: Shape) -> Batch:
        """The batch that takes attempts of this shape. One that was tried already may be with Slurm as it is."""
        for batch in self._unsent:
            if batch.shape == shape and not batch.full and not batch.trouble:
                return batch
        batch = Batch(name=f"neurocaas-{secrets.token_hex(8)}", shape=shape)
        self._unsent.append(batch)
        return batch

    def _send(self, batch: Batch) -> None:
        if batch.trouble and any(name == batch.name for name, _ in self._slurm.tasks()):
            return  # it was taken on, though no answer came
        script = batch_script(self._python, batch.performed, on_the_node=self._on_the_node)
        self._slurm.submit(batch.shape.options(batch.name, len(batch.performed)), script)
