"""What a page shows of a result file. Whatever comes from the worker is parsed into these, or not shown.

The worker may have been taken over by the file that it read, so every size is bounded and no text holds a control
character; markup is the templates' concern, which escape all of it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, StringConstraints, model_validator

from neurocaas.documents import Document
from neurocaas.server.viewers.sizes import (
    LARGEST_SIDE,
    LINE_CHARACTERS,
    MOST_COLUMNS,
    MOST_DATASETS,
    MOST_ROWS,
    MOST_VALUES,
    TEXT_CHARACTERS,
)

Theme = Literal["light", "dark"]
How = Literal["traces", "heat map", "images", "values", "nothing"]

Line = Annotated[str, StringConstraints(max_length=LINE_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f]*$")]
# Lines end, and columns are tabulated; nothing else that a terminal or a browser obeys.
Text = Annotated[str, StringConstraints(max_length=TEXT_CHARACTERS, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Shape = Annotated[tuple[Count, ...], Field(max_length=64)]


class Selection(Document):
    """What of a file is shown. dataset: the path in a container; index: the slice of a stack, or the frame of a movie
    (its middle if None); page: of a table or text, from 0."""

    dataset: Annotated[str, StringConstraints(max_length=LINE_CHARACTERS)] = ""
    index: Count | None = None
    page: Count = 0


class Dataset(Document):
    """One array of a file; path is empty for the only one of an .npy."""

    path: Line
    shape: Shape
    dtype: Line


class ArrayPreview(Document):
    """One array, its numbers drawn (`picture`) or, where that can't be, written (`values`, in the file's order).

    minimum, maximum: of what is shown, without NaN and infinities, which `not_finite` counts.
    slices: how many `index` chooses from, 0 if the array is no stack. axes: what lies across and down in the picture.
    """

    form: Literal["array"] = "array"
    datasets: Annotated[tuple[Dataset, ...], Field(max_length=MOST_DATASETS)]
    more_datasets: Count = 0
    chosen: Dataset
    how: How
    picture: bool = False
    values: Annotated[tuple[Line, ...], Field(max_length=MOST_VALUES)] = ()
    axes: tuple[Line, Line] = ("", "")
    slices: Count = 0
    index: Count = 0
    minimum: FiniteFloat | None = None
    maximum: FiniteFloat | None = None
    not_finite: Count = 0
    note: Line = ""


class TablePreview(Document):
    """One page of a table. total_rows: None where the file is too long to be counted. numeric: columns of numbers."""

    form: Literal["table"] = "table"
    columns: Annotated[tuple[Line, ...], Field(max_length=MOST_COLUMNS)]
    numeric: Annotated[tuple[bool, ...], Field(max_length=MOST_COLUMNS)]
    rows: Annotated[
        tuple[Annotated[tuple[Line, ...], Field(max_length=MOST_COLUMNS)], ...], Field(max_length=MOST_ROWS)
    ]
    first_row: Count
    total_rows: Count | None
    total_columns: Count
    page: Count
    has_more: bool
    note: Line = ""


class TextPreview(Document):
    """One page of a text."""

    form: Literal["text"] = "text"
    text: Text
    page: Count = 0
    pages: Count = 1
    truncated: bool = False
    note: Line = ""


class JsonPreview(Document):
    """A JSON document, indented."""

    form: Literal["json"] = "json"
    text: Text
    truncated: bool = False
    note: Line = ""


class ImagePreview(Document):
    """browser_shows: whether the page may show the file itself; if not, `picture` is what it shows.

    minimum, maximum: the values that black and white stand for where contrast was stretched.
    """

    form: Literal["image"] = "image"
    width: Count
    height: Count
    pixels: Line
    browser_shows: bool
    picture: bool = False
    pages: Count = 1
    index: Count = 0
    minimum: FiniteFloat | None = None
    maximum: FiniteFloat | None = None
    note: Line = ""


class MoviePreview(Document):
    """The picture is of frame `index`."""

    form: Literal["movie"] = "movie"
    width: Count
    height: Count
    frames: Count
    frames_per_second: FiniteFloat
    seconds: FiniteFloat
    codec: Line
    browser_can_play: bool
    picture: bool = False
    index: Count = 0
    note: Line = ""


class FramePreview(Document):
    """Markup, which is neither opened nor cleaned here: the page shows it in a sandboxed frame."""

    form: Literal["frame"] = "frame"
    kind: Literal["html", "svg"]


class NotShown(Document):
    """Why nothing is shown, and what would be right. lasting: whether the file alone is why."""

    form: Literal["not shown"] = "not shown"
    sentence: Line
    remedy: Line = ""
    lasting: bool = True


# A worker never decides that something is shown as markup.
Opened = ArrayPreview | TablePreview | TextPreview | JsonPreview | ImagePreview | MoviePreview | NotShown
Preview = Opened | FramePreview


class Axis(Document):
    """What lies along one side of a picture: the numbers `start`, `start + step`, … of an axis of the array."""

    label: Line = ""
    start: Annotated[int, Field(ge=0, lt=2**50)] = 0
    step: Annotated[int, Field(ge=1, lt=2**50)] = 1


class Block(Document):
    """The few numbers that a picture is drawn from. They follow the answer as they lie in memory, rows first.

    traces: (lines, points); heat map and image: (rows, columns); all of these are little-endian doubles.
    pixels: (rows, columns) or (rows, columns, 3), one byte each.
    """

    how: Literal["traces", "heat map", "image", "pixels"]
    shape: Annotated[tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=2, max_length=3)]
    title: Line = ""
    across: Axis = Axis()
    down: Axis = Axis()

    @model_validator(mode="after")
    def _fits(self) -> Block:
        pixels = self.how == "pixels"
        if len(self.shape) == 3 and not (pixels and self.shape[2] == 3):
            raise ValueError("three axes are those of coloured pixels")
        if pixels and max(self.shape) > LARGEST_SIDE:
            raise ValueError("it is larger than a picture")
        return self

    @property
    def size_bytes(self) -> int:
        numbers = 1
        for length in self.shape:
            numbers *= length
        return numbers if self.how == "pixels" else 8 * numbers


class Answer(Document):
    """What the worker says of a file."""

    preview: Annotated[Opened, Field(discriminator="form")]
    block: Block | None = None

    @model_validator(mode="after")
    def _has_its_picture(self) -> Answer:
        if getattr(self.preview, "picture", False) != (self.block is not None):
            raise ValueError("a picture needs its numbers, and numbers a picture")
        return self
