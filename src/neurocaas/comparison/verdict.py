"""What a comparison says, and how the comparisons of a file's parts are joined to one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

SAME_BYTES = "the same bytes"
SAME_NUMBERS = "the same numbers in other bytes"
NAMED_PARTS = 3


class Sameness(StrEnum):
    EQUAL = "equal"
    WITHIN_TOLERANCE = "within tolerance"
    DIFFERENT = "different"


BY_GRAVITY = tuple(Sameness)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """detail: one sentence with the size of the difference, or why the files can't be compared number by number.

    largest: the largest difference between two numbers, in the file's own unit; infinite where one of them is NaN or
    infinite; None where nothing could be measured.
    """

    verdict: Sameness
    detail: str
    largest: float | None = None


def worst(verdicts: Iterable[Sameness]) -> Sameness:
    """The gravest of them; equal when there are none."""
    return max(verdicts, key=BY_GRAVITY.index, default=Sameness.EQUAL)


def equal(detail: str = SAME_NUMBERS, *, largest: float | None = 0.0) -> Comparison:
    return Comparison(verdict=Sameness.EQUAL, detail=detail, largest=largest)


def different(detail: str) -> Comparison:
    return Comparison(verdict=Sameness.DIFFERENT, detail=detail)


def together(parts: Iterable[tuple[str, Comparison]]) -> Comparison:
    """One comparison of a file from those of its named parts: the gravest speaks, the others are counted."""
    verdict, speaks, others, largest = Sameness.EQUAL, equal(largest=None), 0, None
    for name, part in parts:
        if part.largest is not None:
            largest = max(largest or 0.0, part.largest)
        if worst((verdict, part.verdict)) is not verdict:
            verdict, others = part.verdict, 0
            speaks = replace(part, detail=f"{name}: {part.detail}" if name else part.detail)
        elif part.verdict is verdict:
            others += 1
    detail = speaks.detail
    if others and verdict is not Sameness.EQUAL:
        detail += f"; {others:,} more {'differ' if others > 1 else 'differs'}"
        detail += " within tolerance" if verdict is Sameness.WITHIN_TOLERANCE else ""
    return Comparison(verdict=verdict, detail=detail, largest=largest)


def missing_parts(expected: Mapping[str, object], found: Mapping[str, object]) -> Iterator[tuple[str, Comparison]]:
    """What one file holds and the other does not, by name; nothing when both hold the same names."""
    for names, fault in (
        (expected.keys() - found.keys(), "missing from the file found"),
        (found.keys() - expected.keys(), "in the file found, but not expected"),
    ):
        if names:
            listed = ", ".join(sorted(names)[:NAMED_PARTS])
            more = f" and {len(names) - NAMED_PARTS:,} more" if len(names) > NAMED_PARTS else ""
            yield "", different(f"{listed}{more}: {fault}")
