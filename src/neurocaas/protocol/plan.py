"""A submission, and the plan a protocol makes of it: a DAG of steps, each fanning out into stacks."""

from __future__ import annotations

from typing import Any, Literal

from neurocaas.blueprint import Need
from neurocaas.documents import Document


class DataRef(Document):
    """One piece of data, by content. `path`: where it lies on this machine; `key`: where in the store.

    `fingerprint` tells without reading whether a file at `path` is still the one that was digested.
    """

    name: str
    form: Literal["file", "folder", "zip"]
    filename: str
    path: str | None = None
    key: str | None = None
    sha256: str
    size_bytes: int
    fingerprint: str | None = None


class Dataset(Document):
    """What one stack analyses: a name for people, a folder name for its results, and its named inputs."""

    name: str
    folder: str
    inputs: tuple[DataRef, ...]

    @property
    def size_bytes(self) -> int:
        return sum(one.size_bytes for one in self.inputs)


class Submission(Document):
    """Datasets and one complete config for one analysis version."""

    datasets: tuple[Dataset, ...]
    config: dict[str, Any]
    seed: int


class StackPlan(Document):
    """One stack to be: its data, config, seed, and what it needs of an instance."""

    dataset: Dataset
    config: dict[str, Any]
    seed: int
    need: Need


class Step(Document):
    """Stacks that may run at once, when the steps named in `after` have ended."""

    name: str
    after: tuple[str, ...] = ()
    stacks: tuple[StackPlan, ...]


class Plan(Document):
    """The steps of one job, in an order in which each comes after those it names."""

    steps: tuple[Step, ...]

    @property
    def stacks(self) -> tuple[StackPlan, ...]:
        return tuple(stack for step in self.steps for stack in step.stacks)
