"""The numeric core: differences gathered block by block, judged when the largest magnitude is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from neurocaas.comparison.verdict import Comparison, Sameness, different, equal

# Tolerated, as a share of the largest magnitude that the array, column or list holds. Another processor, library
# release or number of threads adds in another order, and the error of a sum goes with its largest terms: beside large
# numbers small ones come out less exact than their own size suggests. So the array's scale counts, not each number's.
HALF, SINGLE, DOUBLE = 1e-2, 1e-5, 1e-9
# Written numbers do not say how they were computed. Nine digits hold every single-precision number.
SINGLE_DIGITS = 9


@dataclass(kw_only=True, slots=True)
class Differences:
    """All differences between two sequences of numbers, or of texts, as far as they have been read.

    relative: tolerated, as a share of the largest finite magnitude in either; absolute: tolerated in the numbers' own
    unit. Both zero: exact. place: where the largest difference is; the first such place.
    """

    noun: str = "numbers"
    relative: float = 0.0
    absolute: float = 0.0
    compared: int = 0
    unequal: int = 0
    scale: float = 0.0
    largest: float = 0.0
    place: str = ""
    expected: Any = None
    found: Any = None

    def note(self, difference: float, place: str, expected: Any, found: Any) -> None:
        """Remember this pair if none so far was further apart. Texts are infinitely far apart."""
        if difference > self.largest or not self.place:
            self.largest, self.place, self.expected, self.found = difference, place, expected, found

    def note_pair(self, place: str, expected: float, found: float) -> None:
        """Take in two single numbers."""
        self.compared += 1
        self.scale = max(self.scale, _magnitude(expected), _magnitude(found))
        if not same(expected, found):
            self.unequal += 1
            self.note(distance(expected, found), place, expected, found)

    @property
    def verdict(self) -> Sameness:
        if not self.unequal:
            return Sameness.EQUAL
        if math.isfinite(self.largest) and self.largest <= max(self.absolute, self.relative * self.scale):
            return Sameness.WITHIN_TOLERANCE
        return Sameness.DIFFERENT

    def comparison(self) -> Comparison:
        if not self.unequal:
            return equal()
        measured = not isinstance(self.expected, (str, bytes)) and not isinstance(self.found, (str, bytes))
        if self.verdict is Sameness.DIFFERENT:
            return Comparison(verdict=self.verdict, detail=self._how_many(), largest=self.largest if measured else None)
        return Comparison(verdict=self.verdict, detail=self._how_little(), largest=self.largest)

    def _how_many(self) -> str:
        noun = self.noun.removesuffix("s") if self.compared == 1 else self.noun
        differ = "differs" if self.unequal == 1 else "differ"
        at_most = "at most " if self.unequal > 1 else ""
        by = f", by {at_most}{as_text(self.largest)} at" if math.isfinite(self.largest) else ", at"
        place = f"{by} {self.place}" if self.place != "[]" else by.removesuffix(" at").removesuffix(", at")
        expected, found = pair_as_text(self.expected, self.found)
        return f"{self.unequal:,} of {self.compared:,} {noun} {differ}{place} ({expected} was expected, {found} found)"

    def _how_little(self) -> str:
        detail = f"largest difference {as_text(self.largest)}"
        if self.relative and self.scale:
            detail += f", {self.largest / self.scale:.1g} of the largest value"
        return detail


def same(expected: float, found: float) -> bool:
    return expected == found or (expected != expected and found != found)  # both NaN


def distance(expected: float, found: float) -> float:
    """How far apart two numbers are; infinite if one of them is NaN or infinite and the other is not the same."""
    try:
        apart = float(abs(expected - found))
    except OverflowError:
        return math.inf
    return math.inf if math.isnan(apart) else apart


def single_precision(number: float) -> bool:
    """Whether nine digits say this number in full, as they do for every one that was computed in single precision."""
    return not math.isfinite(number) or float(f"{number:.{SINGLE_DIGITS}g}") == number


def as_text(number: Any) -> str:
    if isinstance(number, float) and number and (abs(number) < 1e-3 or number != float(f"{number:.6g}")):
        return f"{number:.3g}"
    return str(number)


def pair_as_text(expected: Any, found: Any) -> tuple[str, str]:
    """Both values, short, but long enough to tell them apart."""
    if isinstance(expected, (str, bytes)) or isinstance(found, (str, bytes)):
        return text_as_text(expected), text_as_text(found)
    one, other = as_text(expected), as_text(found)
    return (repr(expected), repr(found)) if one == other else (one, other)


def text_as_text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        value = value.encode("utf-8", "replace").decode()  # what surrogates stand for can't be printed
        # Needed for a difference alone, and it brings pydantic along, which takes long to import.
        from neurocaas.documents import shown

        return shown(value)
    return as_text(value)


def unlike(what: str, expected: object, found: object) -> Comparison:
    """Different in kind, so that nothing can be measured."""
    return different(f"{what} {expected} was expected, {found} found".lstrip())


def _magnitude(number: float) -> float:
    try:
        size = float(abs(number))
    except OverflowError:
        return 0.0
    return size if math.isfinite(size) else 0.0
