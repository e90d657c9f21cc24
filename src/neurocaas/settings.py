"""A site's settings: frozen, read once from `site.json` and a few environment variables."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, IPvAnyNetwork

from neurocaas.documents import Document, parse, read_json
from neurocaas.errors import NotFound

SITE_FILE = "site.json"
STATE_FOLDER = ".neurocaas"


class LocalMachine(Document):
    """What of this machine the platform may use. Left out: all of it."""

    vcpus: Annotated[int, Field(ge=1)] | None = None
    memory_gib: Annotated[Decimal, Field(gt=0)] | None = None
    gpus: tuple[str, ...] | None = None
    price_per_hour: Annotated[Decimal, Field(ge=0)] = Decimal(0)


class Web(Document):
    """The website. url: where people reach it. sign_up: who may make an account: anybody, only people with a code from
    a group, or nobody. storage_gib: what a group may stage, unless its profile says otherwise. data_days: how long
    staged data is kept unless somebody says to keep it; left out, for ever."""

    url: Annotated[str, Field(pattern=r"^https?://[^/]+$")] = "http://localhost:8000"
    sign_up: Literal["open", "code", "closed"] = "open"
    storage_gib: Annotated[Decimal, Field(ge=0)] = Decimal(100)
    data_days: Annotated[int, Field(ge=1)] | None = None


class FetchLimits(Document):
    """What the platform may fetch from elsewhere for its users.

    max_gib: the largest file. allow_private: networks of private addresses that may be asked all the same.
    allowed_buckets: what S3 buckets are read with the site's own AWS credentials, for every user; others must be
    public. slowest_kib_per_second: what a server must send on average, minute by minute.
    """

    max_gib: Annotated[Decimal, Field(gt=0)] = Decimal(100)
    total_minutes: Annotated[float, Field(gt=0)] = 720
    connect_seconds: Annotated[float, Field(gt=0)] = 10
    read_seconds: Annotated[float, Field(gt=0)] = 30
    slowest_kib_per_second: Annotated[float, Field(ge=0)] = 10
    allow_http: bool = False
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (80, 443)
    allow_private: tuple[IPvAnyNetwork, ...] = ()
    allowed_buckets: tuple[str, ...] = ()
    s3_endpoint: str = "https://s3.amazonaws.com"
    dandi_api: str = "https://api.dandiarchive.org/api"

    @property
    def max_bytes(self) -> int:
        return int(self.max_gib * (1 << 30))


def _apart(boxes: dict[str, str]) -> dict[str, str]:
    """A submission in a place of two analyses would start two jobs."""
    places = [f"{url.rstrip('/')}/" for url in boxes.values()]
    if any(one is not other and one.startswith(other) for one in places for other in places):
        raise ValueError("a place of its own for each analysis, none inside another,")
    return boxes


BoxUrl = Annotated[str, Field(pattern=r"^(file:///[^/]|s3://[a-z0-9]).*$")]


class SiteDocument(Document):
    """`site.json`, at the top of a site's source repo.

    operators: user ids. analyses_of_new_groups: what a group that signs up may use, "*" for all that are open to it.
    dropboxes: by the name of an analysis, a folder or bucket in which submissions to it are looked for. result_buckets:
    S3 buckets that a submission there may name for its results.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    database: str = "sqlite"
    store: str = "file"
    provider: str = "local"
    local: LocalMachine = LocalMachine()
    idle_minutes: Annotated[float, Field(gt=0)] = 10
    operators: tuple[str, ...] = ()
    analyses_of_new_groups: tuple[str, ...] = ("*",)
    web: Web = Web()
    fetching: FetchLimits = FetchLimits()
    dropboxes: Annotated[dict[str, BoxUrl], AfterValidator(_apart)] = Field(default_factory=dict)
    result_buckets: tuple[str, ...] = ()


class Settings(Document):
    """Where a site's parts are. `root` is the source repo; everything the platform writes lies below `state`."""

    root: Path
    site: SiteDocument
    database_url: str
    store_url: str

    @property
    def state(self) -> Path:
        return self.root / STATE_FOLDER

    @property
    def analyses(self) -> Path:
        return self.root / "analyses"

    @property
    def run(self) -> Path:
        """Sockets and locks of the processes that run now."""
        return self.state / "run"

    @property
    def work(self) -> Path:
        """Attempts' work folders on this machine."""
        return self.state / "work"

    @property
    def environments(self) -> Path:
        return self.state / "environments"

    @property
    def versions(self) -> Path:
        """Unpacked analysis versions, read-only, by digest."""
        return self.state / "versions"

    @property
    def key(self) -> Path:
        """The site's signing key."""
        return self.state / "keys" / "site.pem"

    @property
    def trusted_keys(self) -> Path:
        return self.state / "keys" / "trusted"


def read_settings(root: Path) -> Settings:
    """The settings of the site at `root`. Raises NotFound if no site is there, Refused if `site.json` is wrong."""
    root = root.resolve()
    document = root / SITE_FILE
    if not document.is_file():
        raise NotFound(f"{root} is not a site: it has no {SITE_FILE}.", remedy=f"Make one with: neurocaas init {root}")
    site = parse(SiteDocument, read_json(document), str(document))
    state = root / STATE_FOLDER
    database = os.environ.get("NEUROCAAS_DATABASE_URL", site.database)
    store = os.environ.get("NEUROCAAS_STORE_URL", site.store)
    return Settings(
        root=root,
        site=site,
        database_url=f"sqlite:///{state / 'neurocaas.sqlite3'}" if database == "sqlite" else database,
        store_url=(state / "store").as_uri() if store == "file" else store,
    )


def find_site(given: Path | None) -> Path:
    """The site meant: `given`, else NEUROCAAS_SITE, else the nearest one upwards, else the user's own."""
    if given is not None:
        return given
    if named := os.environ.get("NEUROCAAS_SITE"):
        return Path(named)
    return nearest_site() or own_site()


def nearest_site() -> Path | None:
    """The site whose folder this is, or the nearest one upwards."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / SITE_FILE).is_file()), None)


def own_site() -> Path:
    """The user's own site, whether it has been made yet or not."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "neurocaas" / "site"
