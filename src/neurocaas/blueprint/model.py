"""The blueprint: one JSON document that declares everything about an analysis (paper §2.1.4, Fig. 14)."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from neurocaas.documents import Document
from neurocaas.errors import Refused

GIB = 1024**3


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise ValueError("a path inside the analysis' folder, such as workflow.py")
    return path


def _kind(kind: str) -> str:
    if not kind.startswith(".") or kind != kind.lower() or "/" in kind or len(kind) < 2:
        raise ValueError("a file ending in lower case with its dot, such as .tif")
    return kind


def _source(text: str) -> str:
    if not re.fullmatch(r"([a-z][a-z0-9_-]*\.)*[a-z][a-z0-9_]*", text):
        raise ValueError("an input such as recording, or a step and its output such as components.time_courses,")
    return text


def _pin(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}@[0-9a-f]{64}", text):
        raise ValueError("a name and the full digest of a version (neurocaas analysis pin writes it)")
    return text


def _page(path: str) -> str:
    if not path.endswith(".html"):
        raise ValueError("one HTML file inside the folder, such as pages/explore.html,")
    return path


def _shown_first(text: str) -> str:
    if "@" in text:
        return _pin(text)
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", text):
        raise ValueError("a step's name, or another analysis pinned as name@digest,")
    return text


def _reference(text: str) -> str:
    if text and not re.fullmatch(r"[a-z0-9][\w.:/-]*@sha256:[0-9a-f]{64}", text):
        raise ValueError("an image pinned by its digest, such as docker.io/library/debian@sha256:<64 hex digits>,")
    return text


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
InsidePath = Annotated[str, AfterValidator(_inside)]
Source = Annotated[str, AfterValidator(_source)]
Pin = Annotated[str, AfterValidator(_pin)]
Reference = Annotated[str, AfterValidator(_reference)]
PageFile = Annotated[InsidePath, AfterValidator(_page)]
ShownFirst = Annotated[str, AfterValidator(_shown_first)]
FileKind = Annotated[str, AfterValidator(_kind)]
Positive = Annotated[Decimal, Field(gt=0)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Paper(Document):
    """The publication an analysis implements."""

    title: Text
    authors: str = ""
    doi: Annotated[str, StringConstraints(pattern=r"^10\.\d{4,9}/\S+$")] = ""


class PythonEnvironment(Document):
    """The immutable analysis environment (§2.1.1). `lock`: hash-locked requirements; `variants`: other locks.

    python: one minor version, or a range from which a site takes what its machine has; the environment's digest, and so
    the certificate, says which. A lock for a range must be universal.
    """

    kind: Literal["python"]
    python: Annotated[str, StringConstraints(pattern=r"^(3\.\d{1,2}|>=3\.\d{1,2},<3\.\d{1,2})$")]
    lock: InsidePath
    variants: dict[Literal["cuda"], InsidePath] = {}


class ImageEnvironment(Document):
    """An OCI image as environment: one that exists, by digest, or one built from a Containerfile.

    containerfile, files: in the analysis' folder and a part of the version; the build sees no others. network: whether
    the build may use the network.
    """

    kind: Literal["image"]
    reference: Reference = ""
    containerfile: InsidePath | None = None
    files: tuple[InsidePath, ...] = ()
    network: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> ImageEnvironment:
        if bool(self.reference) == bool(self.containerfile):
            raise ValueError("one of reference and containerfile")
        if self.reference and (self.files or self.network):
            raise ValueError("files and network only beside a containerfile, since nothing else is built,")
        return self


Environment = Annotated[PythonEnvironment | ImageEnvironment, Field(discriminator="kind")]


class Workflow(Document):
    """The script that turns inputs and one config into results. `files`: all it consists of, as paths or globs."""

    command: Annotated[tuple[Text, ...], Field(min_length=1)]
    files: Annotated[tuple[InsidePath, ...], Field(min_length=1)]
    network: bool = False
    checkpoints: bool = False


class Input(Document):
    """One named input. `check`: a command, run in the sandbox before the workflow, that may reject the dataset."""

    title: Text
    description: str = ""
    form: Literal["file", "folder", "zip"] = "file"
    kinds: tuple[FileKind, ...] = ()
    max_gib: Positive = Decimal(1024)
    required: bool = True
    check: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _file_names_its_kinds(self) -> Input:
        if self.form == "file" and not self.kinds:
            raise ValueError('kinds such as [".tif"], which a file input must name')
        return self


class Output(Document):
    """One named output. `pattern`: a glob below the results folder."""

    kind: Text
    pattern: InsidePath
    description: str = ""
    required: bool = True


class Need(Document):
    """What one stack needs of an instance, in whole units."""

    vcpus: int
    memory_mib: int
    storage_mib: int
    gpus: int


class Growth(Document):
    """A resource that grows with the input (paper §2.1.3): so many units more per GiB of input."""

    resource: Literal["vcpus", "memory_gib", "storage_gib"]
    per_input_gib: Positive


class Hardware(Document):
    """An instance type by name, or what an instance must have, with rules that grow it with input size (§2.1.3)."""

    instance_type: str = ""
    vcpus: Annotated[int, Field(ge=1)] = 1
    memory_gib: Positive = Decimal(2)
    storage_gib: Positive = Decimal(10)
    gpus: Annotated[int, Field(ge=0)] = 0
    grow: tuple[Growth, ...] = ()

    def need(self, input_bytes: int) -> Need:
        """What a stack with `input_bytes` of input needs, rounded up to whole vCPUs and MiB."""
        input_gib = Decimal(input_bytes) / GIB
        more = {rule.resource: rule.per_input_gib * input_gib for rule in self.grow}
        return Need(
            vcpus=math.ceil(self.vcpus + more.get("vcpus", 0)),
            memory_mib=math.ceil((self.memory_gib + more.get("memory_gib", 0)) * 1024),
            storage_mib=math.ceil((self.storage_gib + more.get("storage_gib", 0)) * 1024),
            gpus=self.gpus,
        )


class PerDataset(Document):
    """One stack for each dataset, all in parallel (Fig. 8A)."""

    kind: Literal["per_dataset"] = "per_dataset"


class Part(Document):
    """An analysis that a composite one consists of, pinned by its version's digest.

    inputs: where this part's inputs come from: `recording`, an input of the composite, or `components.time_courses`, an
    output of the step `components`. What is left out is found by name, then by kind. config: parameters that are fixed;
    defaults: other defaults for those that are not.
    """

    analysis: Pin
    inputs: dict[Identifier, Source] = {}
    config: dict[str, Any] = {}
    defaults: dict[str, Any] = {}


class ChainStep(Part):
    """A part with a name, which its parameters (`name.parameter`) and its results' folder bear."""

    name: Name


class Chain(Document):
    """Outputs of one analysis become inputs of the next, each on its own environment and hardware (Fig. 8B)."""

    kind: Literal["chain"]
    steps: Annotated[tuple[ChainStep, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Chain:
        if len({one.name for one in self.steps}) != len(self.steps):
            raise ValueError("steps with names of their own, no two the same,")
        return self


class Ensemble(Document):
    """Members that differ by seed work on the same data; a consensus is made of those that succeed (Fig. 8C, §3.2)."""

    kind: Literal["ensemble"]
    members: Annotated[int, Field(ge=1, le=1000)]
    succeed: Annotated[int, Field(ge=1, le=1000)]
    member: Part
    consensus: Part

    @model_validator(mode="after")
    def _enough_members(self) -> Ensemble:
        if self.succeed > self.members:
            raise ValueError(f"succeed of at most {self.members}, the number of members,")
        return self


class Function(Document):
    """A Python function of the analysis' own, run in a sandbox: submission in, plan out. analyses: what it may use."""

    kind: Literal["function"]
    file: InsidePath
    function: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")] = "plan"
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10
    analyses: dict[Name, Pin] = {}


Protocol = Annotated[PerDataset | Chain | Ensemble | Function, Field(discriminator="kind")]


class Limits(Document):
    """What one job may use. `attempts`: launches of one stack before it fails for a lost instance; before each but the
    first it waits, `backoff_seconds` and then twice as long each time. Of a chain or ensemble, each part's own limits
    bound its stacks, and the composite's bound the job."""

    timeout_minutes: Annotated[float, Field(gt=0)] = 60
    max_instances: Annotated[int, Field(ge=1)] = 100
    max_cost_dollars: Annotated[Decimal, Field(ge=0)] = Decimal(300)
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    backoff_seconds: Annotated[float, Field(ge=0, le=3600)] = 1


class Metric(Document):
    """One number that tells how well a run went, found by a JSON pointer in an output of kind json.

    better: which way is better, for sweeps to name the best point.
    """

    output: Identifier
    pointer: Annotated[str, StringConstraints(pattern=r"^(/[^/]*)+$")]
    title: Text
    unit: str = ""
    better: Literal["", "higher", "lower"] = ""


class Sample(Document):
    """Data to try the analysis on: files in its folder, or a script that writes them into the folder it is given."""

    files: tuple[InsidePath, ...] = ()
    generator: InsidePath | None = None


class SetupPage(Document):
    """A page on which parameters are chosen by eye. preview: what runs first, so that there is something to see.

    That is a step of this composite analysis, or another analysis, pinned; either runs as one stack.
    """

    file: PageFile
    preview: ShownFirst


class ResultsPage(Document):
    """A page on which results are explored."""

    file: PageFile


class Pages(Document):
    """Interactive pages that come with an analysis, each one HTML file that needs no other."""

    setup: SetupPage | None = None
    results: ResultsPage | None = None

    @property
    def files(self) -> dict[str, str]:
        """The file of each page that there is, by `setup` and `results`."""
        found = {"setup": self.setup, "results": self.results}
        return {name: one.file for name, one in found.items() if one is not None}


class Blueprint(Document):
    """One analysis, declared in full (paper §2.1.4)."""

    schema_url: Annotated[str, Field(alias="$schema")] = ""
    name: Name
    title: Text
    summary: Text
    subfield: str = ""
    paper: Paper | None = None
    links: dict[str, str] = {}
    environment: Environment | None = None
    workflow: Workflow | None = None
    inputs: Annotated[dict[Identifier, Input], Field(min_length=1)]
    parameters: InsidePath | dict[str, Any] = {}
    outputs: dict[Identifier, Output] = {}
    metrics: dict[Identifier, Metric] = {}
    hardware: Hardware = Hardware()
    protocol: Protocol = PerDataset()
    limits: Limits = Limits()
    sample: Sample = Sample()
    pages: Pages = Pages()
    reproducible: bool = True

    @property
    def parts(self) -> dict[str, Part]:
        """The analyses that a chain or ensemble consists of, by the name that their parameters bear; else nothing."""
        match self.protocol:
            case Chain(steps=steps):
                return {one.name: one for one in steps}
            case Ensemble(member=member, consensus=consensus):
                return {"member": member, "consensus": consensus}
        return {}

    @property
    def pins(self) -> dict[str, str]:
        """The versions that the protocol uses besides this one, by the name it calls them."""
        if isinstance(self.protocol, Function):
            return dict(self.protocol.analyses)
        return {name: part.analysis for name, part in self.parts.items()}

    @property
    def preview_pin(self) -> str:
        """The analysis besides its own parts whose results the set-up page shows; "" for none."""
        shown_first = self.pages.setup.preview if self.pages.setup else ""
        return shown_first if "@" in shown_first else ""

    @property
    def own_environment(self) -> Environment:
        """Raises Refused for an analysis that consists of others."""
        if self.environment is None:
            raise Refused(f"{self.name} consists of other analyses and has no environment of its own.")
        return self.environment

    @property
    def own_workflow(self) -> Workflow:
        """Raises Refused for an analysis that consists of others."""
        if self.workflow is None:
            raise Refused(f"{self.name} consists of other analyses and has no workflow of its own.")
        return self.workflow

    @property
    def main_input(self) -> tuple[str, Input]:
        """The input that a list of datasets fills: the first required one, else the first."""
        return next(((name, one) for name, one in self.inputs.items() if one.required), next(iter(self.inputs.items())))
