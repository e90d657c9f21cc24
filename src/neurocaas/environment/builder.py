"""What a kind of environment must be able to do: `python` and `image` do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from neurocaas.environment.values import Damage, EnvironmentSpec, Mount

Progress = Callable[[str], None]


class Placement(NamedTuple):
    """How a finished environment is seen from inside. image, engine: what its root is, and what runs that."""

    mounts: tuple[Mount, ...]
    variables: dict[str, str]
    path: tuple[str, ...]
    image: str = ""
    engine: str = ""


class Builder(Protocol):
    """One kind of environment."""

    def asked(self, spec: EnvironmentSpec, known: Mapping[str, str]) -> dict[str, Any]:
        """Everything that decides what a build makes: requests that agree in it share one environment."""
        ...

    def identity(self, spec: EnvironmentSpec, known: Mapping[str, str]) -> dict[str, str]:
        """What counts into the environment's digest beside its files; `kind` and `platform` are in it."""
        ...

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

    def missing(self, digest: str, known: Mapping[str, str], tree: Path) -> list[Damage]:
        """What the environment `digest` rests on besides its tree, and is gone or damaged; everything is read again."""
        ...

    def release(self, facts: Mapping[str, str], tree: Path) -> None:
        """Give back what the environment holds outside of the store, which removes it now. Quiet if it is gone."""
        ...
