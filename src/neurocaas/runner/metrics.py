"""The numbers that a blueprint declares as metrics, read out of the JSON files that a workflow delivered."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from typing import Any

from neurocaas.errors import NeurocaasError
from neurocaas.runner.collection import matcher
from neurocaas.runner.document import Delivered, Metric
from neurocaas.storage import Store, keys

MAX_BYTES = 4 * 1024**2


def measure(metrics: Sequence[Metric], outputs: Sequence[Delivered], store: Store, prefix: str) -> dict[str, float]:
    """The metrics by name. One whose file is missing, too large or no JSON, or that is no number in it, is left out.

    They are read from the store: in the results folder a workflow could have put a link to somebody else's file.
    """
    found = {}
    for metric in metrics:
        pattern = matcher(metric.pattern)
        file = next((one for one in outputs if pattern.fullmatch(one.path) and one.size_bytes <= MAX_BYTES), None)
        if file is None:
            continue
        with contextlib.suppress(NeurocaasError, ValueError, RecursionError):
            value = at_pointer(json.loads(store.get(keys.result(prefix, file.path))), metric.pointer)
            if isinstance(value, int | float) and math.isfinite(value):
                found[metric.name] = float(value)
    return found


def at_pointer(document: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) names in a document; None if there is nothing."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document
