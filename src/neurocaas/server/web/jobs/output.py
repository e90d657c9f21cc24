"""What an attempt says while it runs: the end of its log, and the processors and memory it uses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from django.utils.safestring import SafeString

from neurocaas.server.jobs import logs
from neurocaas.server.jobs.models import Stack
from neurocaas.server.web.charts import line
from neurocaas.server.web.templatetags.neurocaas import bytes_, seconds
from neurocaas.storage import Store, keys

# Of a long log its end; the file beside the results has all of it.
SHOWN_CHARACTERS = 256 * 1024
SAMPLES = 120
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Use:
    """What an attempt had used at one moment since its start."""

    wall_seconds: float
    cpu_seconds: float
    memory_bytes: int


@dataclass(kw_only=True)
class Output:
    """The output of one attempt, read on from where it was read before. after: the last segment that was read."""

    store: Store
    prefix: str
    after: int = -1
    cut: bool = False
    uses: list[Use] = field(default_factory=list)

    @classmethod
    def of(cls, store: Store, stack: Stack, attempt: int) -> Output:
        """Of an attempt of the stack that ran."""
        origin = stack.origin
        return cls(store=store, prefix=keys.attempt(origin.job.group_id, origin.job_id, origin.index, attempt))

    def end(self) -> str:
        """The end of what there is, and what was used until now. No more than a few hundred objects are read."""
        there = logs.numbers(self.store, self.prefix)
        texts: list[str] = []
        size = 0
        for number in reversed(there):
            if size >= SHOWN_CHARACTERS:
                self.cut = True
                break
            texts.append(logs.segment(self.store, self.prefix, number)["text"])
            size += len(texts[-1])
        self.after = there[-1] if there else -1
        self.look_back()
        text = "".join(reversed(texts))
        self.cut |= len(text) > SHOWN_CHARACTERS
        return text[-SHOWN_CHARACTERS:]

    def look_back(self) -> None:
        """Read what was used until `after`, at a bounded number of moments."""
        found = [one for one in logs.numbers(self.store, self.prefix) if one <= self.after]
        step = max(1, -(-len(found) // SAMPLES))
        sampled = sorted({*found[::step], *found[-1:]})
        self.uses = [use for one in sampled if (use := _use(logs.segment(self.store, self.prefix, one)))]

    def more(self) -> str:
        """What was written since."""
        texts = []
        for number, found in logs.segments(self.store, self.prefix, after=self.after):
            texts.append(found["text"])
            self.after = number
            if use := _use(found):
                self.uses.append(use)
        if len(self.uses) > 2 * SAMPLES:
            self.uses = [*self.uses[:-1:2], self.uses[-1]]
        text = "".join(texts)
        return text[-SHOWN_CHARACTERS:]

    def charts(self) -> dict[str, SafeString | str]:
        """Processors and memory over time, as pictures and in words."""
        if len(self.uses) < 2 or self.uses[-1].wall_seconds <= 0:
            return {}
        first = self.uses[0]
        cores = [(first.wall_seconds, first.cpu_seconds / first.wall_seconds)] if first.wall_seconds else []
        for one, other in zip(self.uses, self.uses[1:], strict=False):
            if (between := other.wall_seconds - one.wall_seconds) > 0:
                cores.append((other.wall_seconds, max(0.0, (other.cpu_seconds - one.cpu_seconds) / between)))
        memory = [(one.wall_seconds, float(one.memory_bytes)) for one in self.uses]
        most_cores, most_memory = max(y for _, y in cores), max(y for _, y in memory)
        return {
            "cpu": line(cores, up=lambda value: f"{value:.3g}", across=seconds),
            "memory": line(memory, up=lambda value: bytes_(round(value)), across=seconds),
            "cpu_words": f"at most {most_cores:.1f} at once, {seconds(self.uses[-1].cpu_seconds)} of processor time",
            "memory_words": f"at most {bytes_(round(most_memory))}",
        }


def readable(text: str) -> str:
    """A log as a page shows it: lines as a terminal would leave them, and no control characters."""
    lines = _ESCAPES.sub("", text.replace("\r\n", "\n")).split("\n")
    # A progress bar overwrites its line again and again; what it wrote last is what stays.
    lines = [next((part for part in reversed(one.split("\r")) if part), "") for one in lines]
    return _CONTROLS.sub("�", "\n".join(lines))


def _use(found: dict[str, Any]) -> Use | None:
    usage = found.get("usage")
    if not isinstance(usage, dict):
        return None
    return Use(
        wall_seconds=float(usage.get("wall_seconds") or 0),
        cpu_seconds=float(usage.get("cpu_seconds") or 0),
        memory_bytes=int(usage.get("memory_bytes") or 0),
    )
