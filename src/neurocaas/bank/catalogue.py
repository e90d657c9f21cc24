"""A catalogue of instance types: a dated price list that comes with the package and that an operator may replace."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from neurocaas.bank.provider import InstanceType
from neurocaas.documents import Document, parse, read_json

BUNDLED = Path(__file__).with_name("data") / "aws-us-east-1.json"
SITE_FILE = "prices/aws.json"


def _day(value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("a date such as 2026-01-19") from None


Day = Annotated[date, BeforeValidator(_day)]
Positive = Annotated[Decimal, Field(gt=0)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Listed(Document):
    """One line of a price list. Prices are US dollars an hour, for Linux."""

    name: Text
    vcpus: Annotated[int, Field(ge=1)]
    memory_gib: Positive
    storage_gib: Positive | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    gpu: str = ""
    price_per_hour: Positive
    save_price_per_hour: Positive | None = None
    burstable: bool = False
    retired: bool = False

    @model_validator(mode="after")
    def _saving_saves(self) -> Listed:
        if self.save_price_per_hour is not None and self.save_price_per_hour > self.price_per_hour:
            raise ValueError("a save_price_per_hour of at most price_per_hour")
        return self

    @property
    def instance_type(self) -> InstanceType:
        return InstanceType(
            name=self.name,
            vcpus=self.vcpus,
            memory_mib=int(self.memory_gib * 1024),
            storage_mib=None if self.storage_gib is None else int(self.storage_gib * 1024),
            gpus=self.gpus,
            gpu=self.gpu,
            price_per_hour=self.price_per_hour,
            save_price_per_hour=self.save_price_per_hour,
            burstable=self.burstable,
            retired=self.retired,
        )


def _each_once(listed: tuple[Listed, ...]) -> tuple[Listed, ...]:
    names = [one.name for one in listed]
    if not names:
        raise ValueError("at least one instance type")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"each instance type once (not so: {', '.join(twice)})")
    return listed


class Catalogue(Document):
    """What a provider offers in one region, what it costs, as of when, and who says so."""

    provider: Text
    region: Text
    on_demand_as_of: Day
    spot_as_of: Day | None = None
    source: Text
    instance_types: Annotated[tuple[Listed, ...], AfterValidator(_each_once)]

    @property
    def types(self) -> tuple[InstanceType, ...]:
        return tuple(one.instance_type for one in self.instance_types)


def read_catalogue(path: Path) -> Catalogue:
    """The price list in `path`. Raises NotFound, or Refused with one sentence per fault."""
    return parse(Catalogue, read_json(path), str(path))


@cache
def bundled_catalogue() -> Catalogue:
    """The price list that comes with the package: AWS in us-east-1."""
    return read_catalogue(BUNDLED)


def site_catalogue(source_repo_root: Path) -> Catalogue:
    """The price list that the site's source repo holds as `prices/aws.json`, else the bundled one."""
    path = source_repo_root / SITE_FILE
    return read_catalogue(path) if path.exists() else bundled_catalogue()
