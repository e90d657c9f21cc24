"""How much of a file is shown; known to the worker and to those who check what it says."""

from __future__ import annotations

LARGEST_SIDE = 1280  # of a picture, in pixels
MOST_DATASETS = 500
MOST_VALUES = 100
MOST_ROWS = 100
MOST_COLUMNS = 200
LINE_CHARACTERS = 500
CELL_CHARACTERS = 300
TEXT_CHARACTERS = 256 * 1024
MAP_ROWS, MAP_COLUMNS = 400, 800
IMAGE_ROWS = IMAGE_COLUMNS = 512
MOST_TRACES, TRACE_POINTS = 12, 2000
# Of a file of any size, no more than this is read for one picture.
READ_BYTES = 64 * 1024**2
# What has to be in memory at once: a chunk, a variable, a compressed array's beginning.
MEMORY_BYTES = 256 * 1024**2
