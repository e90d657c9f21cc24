"""What a crate says of a job: `ro-crate-metadata.json`, from its certificate and files."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from neurocaas.blueprint import Version
from neurocaas.blueprint.model import ImageEnvironment, PythonEnvironment
from neurocaas.blueprint.version import BLUEPRINT_FILE
from neurocaas.certificate.crate_files import Contents, CrateFile, VersionFiles, in_words
from neurocaas.certificate.crate_graph import (
    Graph,
    Reference,
    formal_id,
    formal_inputs,
    formal_outputs,
    input_parameter,
    named,
    output_parameter,
    parameter_value,
    settings,
    to,
)
from neurocaas.certificate.crate_runs import StackRuns, error_of, status_of, time
from neurocaas.certificate.facts import Facts

METADATA = "ro-crate-metadata.json"
ROOT = "./"
RO_CRATE = "https://w3id.org/ro/crate/1.1"
WORKFLOW_RO_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROCESS_RUN, WORKFLOW_RUN, PROVENANCE_RUN = (
    f"https://w3id.org/ro/wfrun/{kind}/0.5" for kind in ("process", "workflow", "provenance")
)
COMPUTATIONAL_WORKFLOW = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
_TERMS = "https://w3id.org/ro/terms/workflow-run#"
# The terms that RO-Crate 1.1 lacks are defined here, so that a reader needs no second context.
CONTEXT = [
    f"{RO_CRATE}/context",
    {
        **{
            name: f"{_TERMS}{name}"
            for name in (
                "ParameterConnection",
                "connection",
                "resourceUsage",
                "sha256",
                "sourceParameter",
                "targetParameter",
            )
        },
        "wasInformedBy": "http://www.w3.org/ns/prov#wasInformedBy",
    },
]
_PROFILES = {
    PROCESS_RUN: ("Process Run Crate", "0.5"),
    WORKFLOW_RUN: ("Workflow Run Crate", "0.5"),
    PROVENANCE_RUN: ("Provenance Run Crate", "0.5"),
    WORKFLOW_RO_CRATE: ("Workflow RO-Crate", "1.0"),
}
USER, SITE, JOB, ENGINE, LANGUAGE, LICENSE = map(
    named, ("user", "site", "job", "neurocaas", "neurocaas-blueprint", "license")
)


def describe(facts: Facts, found: Contents) -> dict[str, Any]:
    """The JSON-LD document."""
    return _Description(facts, found).document()


class _Description:
    def __init__(self, facts: Facts, found: Contents) -> None:
        self.facts, self.found, self.graph = facts, found, Graph()
        self.main = found.versions[facts.analysis.version]
        self.runs = StackRuns(self.graph, facts, found, agent=to(USER))

    def document(self) -> dict[str, Any]:
        graph = self.graph
        graph.add(METADATA, "CreativeWork", about=to(ROOT), conformsTo=[to(RO_CRATE), to(WORKFLOW_RO_CRATE)])
        graph.add(ROOT, "Dataset")  # the second entity, by custom; what it says comes last, when all is known
        self._people()
        tools = [self._tool(files) for files in self._step_versions()]
        workflow = self._workflow(tools)
        # Stacks first: the inputs of one are results of another, and keep what was said of them there.
        runs = self.runs.describe()
        job = self._job()
        organized = [self._organized(job)] if runs else []
        self._root(workflow, [job, *runs, *organized])
        return {"@context": CONTEXT, "@graph": list(graph.entities.values())}

    def _people(self) -> None:
        facts = self.facts
        self.graph.add(SITE, "Organization", name=facts.site.name)
        self.graph.add(USER, "Person", name=facts.job.user or "unknown user", affiliation=to(SITE))
        self.graph.add(ENGINE, "SoftwareApplication", name="NeuroCAAS", softwareVersion=facts.software.neurocaas)
        self.graph.add(
            LANGUAGE,
            "ComputerLanguage",
            name="NeuroCAAS blueprint",
            description="One JSON document that declares an analysis: its environment, inputs, parameters and outputs.",
        )
        self.graph.add(
            LICENSE,
            "CreativeWork",
            name="No licence is stated",
            description="Nobody told NeuroCAAS under which terms the analysis and the results may be used. "
            f"Ask {facts.job.user or 'the one who ran it'} at {facts.site.name}.",
        )

    def _root(self, workflow: Reference, actions: list[Reference]) -> None:
        facts, job = self.facts, self.facts.job
        # Without a stack that ran there is no provenance of steps to speak of.
        profiles = [one for one in _PROFILES if one != PROVENANCE_RUN or facts.stacks]
        conforms = [
            self.graph.add(one, "CreativeWork", name=_PROFILES[one][0], version=_PROFILES[one][1]) for one in profiles
        ]
        for log in self.found.logs.items():
            self._log(*log)
        for file in self.found.certificates:
            about = "The signed record of the job" if file.path.endswith(".json") else "The signed record, for reading"
            self.graph.file(file, description=f"{about}.", about=to(JOB))
        self.graph.file(self.found.readme, description="What is in this crate, for people.", about=to(ROOT))
        self.graph.add(
            ROOT,
            "Dataset",
            name=f"{self.main.version.blueprint.title}: job {job.id}",
            description=in_words(facts),
            datePublished=time(job.ended_at or job.submitted_at),
            identifier=job.id,
            license=to(LICENSE),
            author=to(USER),
            publisher=to(SITE),
            conformsTo=conforms,
            mainEntity=workflow,
            mentions=actions,
            hasPart=[to(file.id) for file in self.found],
        )

    def _log(self, index: int, file: CrateFile) -> None:
        self.graph.file(file, description="What the workflow printed.", about=to(named("stack", index)))

    def _step_versions(self) -> list[VersionFiles]:
        """The versions that ran as a step, each once."""
        ran = {stack.step for stack in self.facts.stacks}
        return [self.found.versions[one] for one in {step.version: 0 for step in self.facts.steps if step.name in ran}]

    def _tool(self, files: VersionFiles) -> Reference:
        """An analysis as a program that a step runs."""
        version = files.version
        step = next(one for one in self.facts.steps if one.version == version.digest)
        requirements = self._requirements(files)
        environment = step.environment
        described = {
            "execution digest": step.execution_digest,
            "environment digest": environment.digest,
        }
        return self.graph.add(
            formal_id(version),
            "SoftwareApplication",
            name=version.blueprint.title,
            description=version.blueprint.summary,
            softwareVersion=step.label,
            url=_link(version),
            identifier=version.digest,
            runtimePlatform=f"{environment.kind} on {environment.platform}",
            softwareRequirements=requirements,
            additionalProperty=[self.graph.value(name, value) for name, value in described.items() if value],
            input=formal_inputs(self.graph, version),
            output=formal_outputs(self.graph, version),
            hasPart=[self.graph.file(file) for path, file in files.files.items() if path != BLUEPRINT_FILE],
        )

    def _requirements(self, files: VersionFiles) -> Reference | str:
        """What the environment of an analysis is made of: a file of the version, or an image by its digest."""
        match files.version.blueprint.own_environment:
            case PythonEnvironment(lock=lock):
                return self.graph.file(
                    files.files[lock], description="The packages of the environment, locked by hash."
                )
            case ImageEnvironment(containerfile=str(containerfile)):
                return self.graph.file(files.files[containerfile], description="How the environment's image is made.")
            case ImageEnvironment(reference=reference):
                return reference

    def _workflow(self, tools: list[Reference]) -> Reference:
        """The job's own blueprint: the main entity."""
        facts, version = self.facts, self.main.version
        blueprint = version.blueprint
        document = self.main.files[BLUEPRINT_FILE]
        paper = blueprint.paper
        citation = paper and self.graph.add(
            f"https://doi.org/{quote(paper.doi)}" if paper.doi else named("paper"),
            "ScholarlyArticle",
            name=paper.title,
            author=paper.authors,
        )
        for digest, files in self.found.versions.items():
            for path, file in files.files.items():
                if path != BLUEPRINT_FILE:
                    self.graph.file(file)
            if digest != version.digest:
                self.graph.file(
                    files.files[BLUEPRINT_FILE],
                    type_=["File", "SoftwareSourceCode"],
                    description=f"The blueprint of {files.version.short}.",
                    version=digest,
                    programmingLanguage=to(LANGUAGE),
                )
        return self.graph.file(
            document,
            type_=["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            name=blueprint.title,
            description=blueprint.summary,
            version=facts.analysis.label,
            url=_link(version),
            identifier=version.digest,
            conformsTo=to(COMPUTATIONAL_WORKFLOW),
            programmingLanguage=to(LANGUAGE),
            license=to(LICENSE),
            citation=citation,
            input=formal_inputs(self.graph, version),
            output=formal_outputs(self.graph, version),
            hasPart=tools,
            step=self.runs.steps(),
        )

    def _job(self) -> Reference:
        """The run of the whole workflow."""
        facts, job, version = self.facts, self.facts.job, self.main.version
        inputs = [
            self.runs.data(one, input_parameter(self.graph, version, one))
            for dataset in facts.datasets
            for one in dataset.inputs
        ]
        tried = [parameter_value(self.graph, version, *one) for point in facts.sweep for one in point.items()]
        results = [to(file.id) for stack in facts.stacks for file in self.found.outputs[stack.index]]
        for file, output in zip(self.found.job_outputs, facts.outputs, strict=True):
            results.append(
                self.graph.file(
                    file,
                    description="A result of the job as a whole.",
                    exampleOfWork=output_parameter(version, output.path),
                )
            )
        return self.graph.add(
            JOB,
            "CreateAction",
            name=f"Job {job.id}",
            description=f"{facts.analysis.label}, submitted {job.submitted_at}, {job.price} price.",
            identifier=job.id,
            instrument=to(self.main.files[BLUEPRINT_FILE].id),
            agent=to(USER),
            object=_once([*inputs, *settings(self.graph, version, facts.config, facts.seed), *tried]),
            result=_once(results),
            startTime=time(job.started_at),
            endTime=time(job.ended_at),
            actionStatus=status_of(job.status),
            error=error_of(job.status, job.reason, ""),
            resourceUsage=self.runs.usage("cost", facts.cost_dollars),
            wasInformedBy=self._retried(),
        )

    def _retried(self) -> Reference | None:
        """The job whose failed stacks this one ran again."""
        earlier = self.facts.job.retry_of
        name = f"Job {earlier}, whose failed runs were tried again"
        return self.graph.add(named("earlier", earlier), "Action", name=name, identifier=earlier) if earlier else None

    def _organized(self, job: Reference) -> Reference:
        """The work of the platform: one ControlAction per stack."""
        return self.graph.add(
            named("organization"),
            "OrganizeAction",
            name=f"NeuroCAAS ran job {self.facts.job.id}",
            instrument=to(ENGINE),
            agent=to(USER),
            object=self.runs.controls(),
            result=job,
            startTime=time(self.facts.job.submitted_at),
            endTime=time(self.facts.job.ended_at),
        )


def _link(version: Version) -> str | None:
    """Where the analysis is at home, if its blueprint says so."""
    return next((one for one in version.blueprint.links.values() if one.startswith(("https://", "http://"))), None)


def _once(references: list[Reference]) -> list[Reference]:
    return list({one["@id"]: one for one in references}.values())
