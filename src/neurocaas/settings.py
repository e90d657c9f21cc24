"""A site's settings: frozen, read once from `site.json` and a few environment variables."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, IPvAnyNetwork, model_validator

from neurocaas.documents import Document, parse, read_json
from neurocaas.errors import NotFound

SITE_FILE = "site.json"
STATE_FOLDER = ".neurocaas"
IA_DAYS = 30

SlurmName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]


class LocalMachine(Document):
    """What of this machine the platform may use. Left out: all of it."""

    vcpus: Annotated[int, Field(ge=1)] | None = None
    memory_gib: Annotated[Decimal, Field(gt=0)] | None = None
    gpus: tuple[str, ...] | None = None
    price_per_hour: Annotated[Decimal, Field(ge=0)] = Decimal(0)


class Images(Document):
    """Container images. engine: what builds and runs them; left out, the first of Podman and Docker that is found.
    base: the image that images of `python` environments stand on; left out, a minimal Debian made from its packages."""

    engine: Literal["", "podman", "docker"] = ""
    base: str = ""


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


class Lifecycle(Document):
    """What the site's bucket does by itself. Days are whole, since AWS counts so.

    abandoned_days: until the parts of an upload that was never completed go; the site itself gives it a week.
    exchange_days: until what no runner fetched goes. cold_days: until what groups have moves to a cheaper class that is
    still read at once; left out, never. cold_class: that class.
    """

    abandoned_days: Annotated[int, Field(ge=1)] = 8
    exchange_days: Annotated[int, Field(ge=1)] = 8
    cold_days: Annotated[int, Field(ge=0)] | None = None
    cold_class: Literal["INTELLIGENT_TIERING", "GLACIER_IR", "STANDARD_IA"] = "INTELLIGENT_TIERING"

    @model_validator(mode="after")
    def _as_aws_allows(self) -> Self:
        if self.cold_class == "STANDARD_IA" and self.cold_days is not None and self.cold_days < IA_DAYS:
            raise ValueError(f"at least {IA_DAYS} cold_days, which AWS demands for STANDARD_IA,")
        return self


class StorageSettings(Document):
    """The site's bucket, where its store is on S3.

    encryption: "AES256", or the ARN of a KMS key. runner_role: the role whose sessions runners beyond this machine get.
    session_minutes: how long such a session lasts; it is renewed at half of that, and so long the manager may be away.
    ticket_hours: how long a ticket can be exchanged, for jobs that queue elsewhere.
    """

    encryption: Annotated[str, Field(pattern=r"^(AES256|arn:aws[\w-]*:kms:.+)$")] = "AES256"
    lifecycle: Lifecycle = Lifecycle()
    runner_role: Annotated[str, Field(pattern=r"^(arn:.+)?$")] = ""
    session_minutes: Annotated[int, Field(ge=15, le=720)] = 60
    ticket_hours: Annotated[int, Field(ge=1, le=168)] = 168


class AwsSettings(Document):
    """The site's part of an AWS account, where it has one.

    stack: the name of its CloudFormation stack, which begins every name there. instance_types: those to be had, by name
    as in the price list. max_vcpus: of all instances of one type at a time, on demand and at the save price each.
    repository: of images; left out, the stack's own. disk_gib: of each instance. vpc, subnets: a network that is there;
    left out, the stack makes one over `availability_zones` zones. manager: `role/NAME` or `user/NAME` that the site
    runs as. budget_dollars_per_month: of the whole account, above which nothing new is started; null where
    CloudFormation knows no budgets, as in some regions. alarm_topic: the ARN of the SNS topic that hears of alarms;
    left out, the stack makes one. drop_boxes: analyses that get one, "*" for all.
    unclaimed_minutes: how long an instance without a job may live. max_instance_hours: how long any may.
    capacity_minutes: how long a stack waits for AWS to find an instance before it is tried elsewhere.
    """

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")] = "us-east-1"
    stack: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,18}[a-z0-9]$")] = "neurocaas"
    instance_types: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")], ...] = ("m6i.xlarge",)
    max_vcpus: Annotated[int, Field(ge=1)] = 256
    repository: str = ""
    disk_gib: Annotated[int, Field(ge=30, le=16384)] = 200
    vpc: Annotated[str, Field(pattern=r"^(vpc-[0-9a-f]+)?$")] = ""
    subnets: tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")], ...] = ()
    availability_zones: Annotated[int, Field(ge=1, le=6)] = 2
    manager: Annotated[str, Field(pattern=r"^((role|user)/[\w+=,.@-]{1,64})?$")] = ""
    budget_dollars_per_month: Annotated[Decimal, Field(gt=0)] | None = Decimal(500)
    alarm_topic: Annotated[str, Field(pattern=r"^(arn:aws[\w-]*:sns:.+)?$")] = ""
    drop_boxes: tuple[str, ...] = ("*",)
    unclaimed_minutes: Annotated[int, Field(ge=10)] = 30
    max_instance_hours: Annotated[int, Field(ge=1)] = 72
    capacity_minutes: Annotated[float, Field(gt=0)] = 10

    @model_validator(mode="after")
    def _subnets_are_in_a_network(self) -> AwsSettings:
        if bool(self.vpc) != bool(self.subnets):
            raise ValueError("both vpc and subnets, or neither of them,")
        return self


class SlurmSave(Document):
    """Where a job at the save price goes: capacity that others may take back."""

    price_per_hour: Annotated[Decimal, Field(ge=0)]
    partition: SlurmName | None = None
    qos: SlurmName | None = None


class SlurmType(Document):
    """One instance type: what of a node a stack may have. partition: left out, it is `name`.

    memory_gib: what Slurm may be asked for, of which a runner takes a quarter. gres: what Slurm calls its GPUs.
    at_once: how many stacks may be in Slurm at one time, running or waiting; left out, Slurm's own limits do.
    """

    name: SlurmName
    partition: SlurmName | None = None
    vcpus: Annotated[int, Field(ge=1)]
    memory_gib: Annotated[Decimal, Field(ge=1)]
    gpus: Annotated[int, Field(ge=0)] = 0
    gres: Annotated[str, Field(pattern=r"^[A-Za-z]\w*(:[\w.-]+)?$")] = "gpu"
    price_per_hour: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    save: SlurmSave | None = None
    account: SlurmName | None = None
    qos: SlurmName | None = None
    constraint: Annotated[str, Field(pattern=r"^[\w.&|*()\[\]-]+$")] | None = None
    at_once: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _saving_saves(self) -> Self:
        if self.save is not None and self.save.price_per_hour > self.price_per_hour:
            raise ValueError("a save.price_per_hour of at most price_per_hour")
        return self


class SlurmSettings(Document):
    """A Slurm cluster. instance_types: left out, one for each partition, as `sinfo` tells of it.

    shared: the nodes see this site's files at the same paths; else the store is on S3. work: a folder of the nodes' own
    for what attempts need while they run; left out, they use the site's own folder. python: the nodes' interpreter
    that has NeuroCAAS; left out, the one that runs the site.
    """

    instance_types: tuple[SlurmType, ...] = ()
    shared: bool = True
    work: Annotated[str, Field(pattern=r"^/.+$")] | None = None
    python: Annotated[str, Field(pattern=r"^/.+$")] | None = None

    @model_validator(mode="after")
    def _each_type_once(self) -> Self:
        names = [one.name for one in self.instance_types]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"each instance type once (not so: {', '.join(twice)})")
        return self

    @model_validator(mode="after")
    def _nodes_have_a_place(self) -> Self:
        if not self.shared and self.work is None:
            raise ValueError("a work folder of the nodes' own, such as /scratch/neurocaas, where shared is false,")
        return self


class HardwareSettings(Document):
    """When an instance is flagged, and when it is ended.

    unclaimed_minutes: how long one may run for nobody. grace_minutes: how long after that the job manager ends it;
    null, it only says so. margin_minutes: what an attempt may take beside its workflow's timeout. cost_dollars: what
    one instance may cost; null, anything.
    """

    unclaimed_minutes: Annotated[float, Field(gt=0)] = 15
    grace_minutes: Annotated[float, Field(ge=0)] | None = 15
    margin_minutes: Annotated[float, Field(ge=0)] = 60
    cost_dollars: Annotated[Decimal, Field(gt=0)] | None = Decimal(100)


def _apart(boxes: dict[str, str]) -> dict[str, str]:
    """A submission in a place of two analyses would start two jobs."""
    places = [f"{url.rstrip('/')}/" for url in boxes.values()]
    if any(one is not other and one.startswith(other) for one in places for other in places):
        raise ValueError("a place of its own for each analysis, none inside another,")
    return boxes


BoxUrl = Annotated[str, Field(pattern=r"^(file:///[^/]|s3://[a-z0-9]).*$")]


class SiteDocument(Document):
    """`site.json`, at the top of a site's source repo.

    providers: who supplies instances; a job that asks for none gets the first. operators: user ids.
    analyses_of_new_groups: what a group that signs up may use, "*" for all that are open to it.
    dropboxes: by the name of an analysis, a folder or bucket in which submissions to it are looked for. result_buckets:
    S3 buckets that a submission there may name for its results.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    database: str = "sqlite"
    store: str = "file"
    storage: StorageSettings = StorageSettings()
    providers: Annotated[tuple[str, ...], Field(min_length=1)] = ("local",)
    local: LocalMachine = LocalMachine()
    images: Images = Images()
    idle_minutes: Annotated[float, Field(gt=0)] = 10
    operators: tuple[str, ...] = ()
    analyses_of_new_groups: tuple[str, ...] = ("*",)
    web: Web = Web()
    fetching: FetchLimits = FetchLimits()
    aws: AwsSettings | None = None
    slurm: SlurmSettings = SlurmSettings()
    hardware: HardwareSettings = HardwareSettings()
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
