"""A new job as its form has it, from what was submitted, or from what came before: a job, a certificate, a config."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID, uuid4

from django.http import QueryDict

from neurocaas.blueprint.config_files import parse_config, parse_text
from neurocaas.blueprint.parameters import Config
from neurocaas.errors import NotFound, Refused
from neurocaas.protocol import MAX_SEED, grid
from neurocaas.server.analyses import Resolved
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.jobs.models import Job, Price, Stack
from neurocaas.server.jobs.reproducing import read_facts
from neurocaas.server.jobs.submit import Request
from neurocaas.server.uploads.models import Item
from neurocaas.server.web.parameters import (
    Typed,
    as_yaml,
    config_in,
    properties,
    swept_in,
    typed_in,
    typed_of,
)

T = TypeVar("T")
INPUT = "input."  # what the names of the fields of other inputs begin with
MOST_STACKS_READ = 20_000
_PLACE = re.compile(r"^groups/[^/]+/data/([0-9a-f]{32})/")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the form holds, as text where people type. key: the form's own. source: what it was filled from."""

    spec: str
    typed: Typed
    data: Sequence[str] = ()
    more: Mapping[str, str] = field(default_factory=dict)
    seed: str = "0"
    minutes: str = ""
    save: bool = False
    fresh: bool = False
    private: bool = False
    provider: str = ""
    points: str = ""
    key: str = ""
    source: str = ""

    def config(self, schema: Mapping[str, Any]) -> Config:
        return config_in(schema, self.typed)

    def request(self, caller: Caller, schema: Mapping[str, Any]) -> Request:
        """What is asked for. Raises Refused with a sentence for each thing that can't be read."""
        faults: list[str] = []
        config = _tried(lambda: self.config(schema), faults) or {}
        points = _tried(lambda: self._points(schema), faults) or ()
        seed = _tried(lambda: _seed(self.seed), faults) or 0
        minutes = _tried(lambda: _minutes(self.minutes), faults)
        if faults:
            raise Refused("\n".join(faults))
        return Request(
            analysis=self.spec,
            data=self.data,
            group=caller.require_group(),
            user=caller.user,
            config=config,
            more={name: one for name, one in self.more.items() if one},
            seed=seed,
            points=points,
            timeout_minutes=minutes,
            save=self.save,
            fresh=self.fresh,
            private=self.private,
            provider=self.provider,
        )

    def _points(self, schema: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """The grid of all swept parameters, at each of the listed points if there are any."""
        swept = swept_in(schema, self.typed)
        try:
            combined = grid(swept) if swept else ({},)
        except Refused as fault:
            raise Refused(fault.message.replace("--sweep", "points")) from None
        if not self.points.strip():
            return combined if swept else ()
        listed = parse_text(self.points, "points")
        if not isinstance(listed, list) or not listed or not all(map(_is_config, listed)):
            raise Refused("points: a list with one line for each point, as `- {size: 3, bins: 2}`, is right.")
        return tuple({**one, **other} for one in listed for other in combined)


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a text that people bring says: a config, or a certificate with its sweep and seed."""

    config: Config
    points: Sequence[dict[str, Any]] = ()
    seed: int | None = None


def blank(resolved: Resolved, spec: str, *, data: Sequence[str] = ()) -> Asked:
    """An empty form: every parameter at its default."""
    return Asked(spec=spec, typed=typed_of(resolved.family.parameters, {}), data=data, key=str(uuid4()))


def submitted(resolved: Resolved, spec: str, form: QueryDict) -> Asked:
    """The form as it was sent."""
    others = {name: form.get(INPUT + name, "") for name in resolved.version.blueprint.inputs}
    return Asked(
        spec=spec,
        typed=typed_in(resolved.family.parameters, form.dict()),  # type: ignore[arg-type]
        data=list(dict.fromkeys(form.getlist("data"))),
        more={name: one for name, one in others.items() if one},
        seed=form.get("seed", "0"),
        minutes=form.get("minutes", ""),
        save="save" in form,
        fresh="fresh" in form,
        private="private" in form,
        provider=form.get("provider", ""),
        points=form.get("points", ""),
        key=_key(form.get("key", "")),
    )


def from_job(caller: Caller, job_id: str, resolved: Resolved, spec: str) -> Asked:
    """The form that would submit an earlier job again. Raises NotFound or Forbidden for one that is not to be read."""
    job = caller.job(job_id, To.READ)
    if job.analysis != resolved.version.name:
        raise NotFound(f"Job {job.id} is one of {job.analysis}, not of {resolved.version.name}.")
    asked = with_given(
        blank(resolved, spec), resolved, Given(config=job.config, points=job.points, seed=job.seed), f"job {job.id}"
    )
    data, more = _data_of(caller.group, job, resolved)
    return replace(
        asked,
        data=data,
        more=more,
        minutes="" if job.timeout_minutes is None else f"{job.timeout_minutes:g}",
        save=job.price == Price.SAVE,
        fresh=job.fresh,
        private=job.private,
        provider=job.provider,
    )


def with_given(asked: Asked, resolved: Resolved, given: Given, source: str) -> Asked:
    """The form with this config, and this sweep and seed if there is one. What the analysis lacks is left out."""
    schema = resolved.family.parameters
    known = {name: value for name, value in given.config.items() if name in properties(schema)}
    whole = _is_grid(given.points)
    return replace(
        asked,
        typed=typed_of(schema, known, given.points if whole else ()),
        points="" if whole else "".join(f"- {_as_line(point)}\n" for point in given.points),
        seed=asked.seed if given.seed is None else str(given.seed),
        source=source,
    )


def read_given(text: str, name: str) -> Given:
    """A config or a certificate, as YAML or JSON. Raises Refused with the line of the fault."""
    value = parse_text(text, name)
    if isinstance(value, dict) and "seal" in value:
        facts = read_facts(value)
        return Given(config=facts.config, points=[dict(one) for one in facts.sweep], seed=facts.seed)
    return Given(config=parse_config(text, name))


def unknown(resolved: Resolved, config: Config) -> str:
    """A sentence for each thing about the config that the analysis does not take; empty if it takes it."""
    try:
        resolved.family.complete(config)
    except Refused as fault:
        return fault.message
    return ""


def _as_line(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False)


def as_text(asked: Asked, schema: Mapping[str, Any]) -> str:
    """The config of the form as YAML; what can't be read yet is left out."""
    try:
        return as_yaml(asked.config(schema))
    except Refused:
        return ""


def _data_of(group: str, job: Job, resolved: Resolved) -> tuple[list[str], dict[str, str]]:
    """The group's staged data that the job was given: what is its own, and still there. Two queries."""
    main, _ = resolved.version.blueprint.main_input
    stacks = Stack.objects.filter(job=job).order_by("index").values_list("inputs", flat=True)[:MOST_STACKS_READ]
    wanted: dict[tuple[str, str], str] = {}
    for one in itertools.chain.from_iterable(stacks):
        if place := _PLACE.match(one.get("key") or ""):
            wanted[str(UUID(place[1])), one["filename"]] = one.get("submitted_as") or one["name"]
    contents = {content for content, _ in wanted}
    rows = Item.objects.filter(group_id=group, content_id__in=contents).order_by("created_at")
    found = {(str(one.content_id), one.name): str(one.id) for one in rows}
    data = [found[key] for key, name in wanted.items() if key in found and name == main]
    return data, {name: found[key] for key, name in wanted.items() if key in found and name != main}


def _is_grid(points: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the points are all combinations of their parameters' values, in the order of `grid`."""
    values: dict[str, list[Any]] = {}
    for point in points:
        for name, value in point.items():
            if value not in values.setdefault(name, []):
                values[name].append(value)
    return list(grid(values)) == [dict(one) for one in points] if values else not points


def _is_config(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(key, str) for key in value)


def _seed(text: str) -> int:
    text = text.strip() or "0"
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise Refused(f"seed: found {text[:40]}; a whole number from 0 to {MAX_SEED} is right.")
    return int(text)


def _minutes(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise Refused(f"minutes: found {text[:40]}; a number above 0 is right.") from None


def _tried(read: Callable[[], T], faults: list[str]) -> T | None:
    try:
        return read()
    except Refused as fault:
        faults.extend(fault.message.splitlines())
    return None


def _key(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        return str(uuid4())
