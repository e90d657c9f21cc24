"""What a kind of environment must be able to do. `python` does it today; `image` will."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from neurocaas.environment.values import EnvironmentSpec, Mount

Progress = Callable[[str], None]


class Placement(NamedTuple):
    """How a finished environment is seen from inside."""

    mounts: tuple[Mount, ...]
    variables: dict[str, str]
    path: tuple[str, ...]


class Builder(Protocol):
    """One kind of environment."""

    def known(self, spec: EnvironmentSpec) -> dict[str, str] | None:
        """What the outcome rests on besides the spec (an interpreter's digest); None while that is not here."""
        ...

    def prepare(self, spec: EnvironmentSpec, *, progress: Progress) -> dict[str, str]:
        """The same, but fetch or make what is not here or is damaged. Safe to call twice at once."""
        ...

    def build(
        self, spec: EnvironmentSpec, known: Mapping[str, str], *, tree: Path, log: Path, progress: Progress
    ) -> dict[str, str]:
        """Fill the new folder `tree`; returns facts worth recording. EnvironmentBroken when it can't be done.

        May leave anything beside `tree`: its parent folder goes away unless the build succeeds, log included.
        """
        ...

    def place(self, known: Mapping[str, str], tree: Path, *, progress: Progress) -> Placement | None:
        """Where the finished `tree`, and what it rests on, are mounted; None when what it rests on is gone or damaged.

        Called for every job, so it has milliseconds.
        """
        ...
