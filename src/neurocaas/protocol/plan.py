"""A submission, and the plan a protocol makes of it: a DAG of steps, each fanning out into stacks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from neurocaas.documents import Document

MAX_SEED = 2**32 - 1


def _line(text: str) -> str:
    if any(ord(one) < 32 for one in text):
        raise ValueError("text in one line, without control characters,")
    return text


Form = Literal["file", "folder", "zip"]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Line = Annotated[str, AfterValidator(_line)]
StepName = Annotated[str, Field(max_length=200), AfterValidator(_line)]


class Part(Document):
    """One file of a folder that is put together: its path in the folder, where it is in the store, its content."""

    path: str
    key: str
    sha256: str
    size_bytes: int


class DataRef(Document):
    """One piece of data, by content. `path`: where it lies on this machine; `key`: where in the store.

    `fingerprint` tells without reading whether a file at `path` is still the one that was digested. `parts`: what a
    folder is put together from, which then lies nowhere as such. `submitted_as`: the name of the job's input, where a
    part of a composite analysis calls it otherwise. `from_stacks`: which stacks of the job wrote it.
    """

    name: str
    form: Form
    filename: str
    path: str | None = None
    key: str | None = None
    parts: tuple[Part, ...] = ()
    sha256: str
    size_bytes: int
    fingerprint: str | None = None
    submitted_as: str = ""
    from_stacks: tuple[int, ...] = ()


class Dataset(Document):
    """What was submitted as one: a name for people, a folder name for its results, and its named inputs."""

    name: str
    folder: str
    inputs: tuple[DataRef, ...]


class Submission(Document):
    """Datasets and one complete config for one analysis version. `points`: what a sweep changes, each time."""

    datasets: tuple[Dataset, ...]
    config: dict[str, Any]
    seed: Seed
    points: tuple[dict[str, Any], ...] = ()


class FromStacks(Document):
    """An input that earlier stacks will have written: an output, by name, of stacks of a step, by position in it."""

    step: str
    stacks: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    output: str


class StackPlan(Document):
    """One stack to be.

    dataset: position in the submission. label: what tells stacks of one step and dataset apart. inputs: by the name
    that the stack's analysis gives them, the name of one of the dataset's inputs, or what earlier stacks will have
    written. quorum: how many of those earlier stacks must succeed; all of them if it is left out. point: the swept
    parameters that the stack depends on, with their values.
    """

    dataset: Annotated[int, Field(ge=0)]
    label: Line = ""
    config: dict[str, Any] = {}
    seed: Seed = 0
    inputs: dict[str, str | FromStacks]
    quorum: Annotated[int, Field(ge=1)] | None = None
    point: dict[str, Any] = {}

    @property
    def sources(self) -> dict[str, FromStacks]:
        """The inputs that earlier stacks will have written."""
        return {name: one for name, one in self.inputs.items() if isinstance(one, FromStacks)}


class Step(Document):
    """Stacks that may run at once. `analysis`: the path in the family of what they run; "" for the job's own."""

    name: StepName
    analysis: str = ""
    stacks: tuple[StackPlan, ...]


class Plan(Document):
    """The steps of one job, in an order in which each comes after those that it takes its inputs from."""

    steps: tuple[Step, ...]

    @property
    def stacks(self) -> tuple[StackPlan, ...]:
        return tuple(stack for step in self.steps for stack in step.stacks)

    def starts(self) -> dict[str, int]:
        """How many stacks come before those of each step."""
        starts, count = {}, 0
        for step in self.steps:
            starts[step.name] = count
            count += len(step.stacks)
        return starts
