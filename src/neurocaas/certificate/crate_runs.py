"""The runs of a job's stacks in a crate's description: what each read, wrote, used and how it ended."""

from __future__ import annotations

import base64
from typing import Any

from neurocaas.blueprint import Version
from neurocaas.certificate.crate_files import Contents
from neurocaas.certificate.crate_graph import (
    Graph,
    Reference,
    formal_id,
    input_parameter,
    named,
    output_parameter,
    settings,
    to,
)
from neurocaas.certificate.facts import DataFacts, Facts, InputFacts, StackFacts
from neurocaas.reasons import Reason

SUCCEEDED = "succeeded"
_UNITS = {"cost": ("USD", "US dollars"), "seconds": ("SEC", "seconds"), "bytes": ("AD", "bytes")}  # ISO 4217, UN/CEFACT


def time(at: str | None) -> str | None:
    """As the profiles want it: with an offset, not with Z."""
    return at.replace("Z", "+00:00") if at else None


def status_of(status: str) -> str:
    return f"http://schema.org/{'Completed' if status == SUCCEEDED else 'Failed'}ActionStatus"


def error_of(status: str, reason: Reason, message: str) -> str | None:
    """Why it did not succeed, in words; None if it did."""
    return None if status == SUCCEEDED else ": ".join(filter(None, (reason.value or status, message)))


class StackRuns:
    """Describes each stack as an action, and what steps and data they share."""

    def __init__(self, graph: Graph, facts: Facts, found: Contents, *, agent: Reference) -> None:
        self.graph, self.facts, self.found, self.agent = graph, facts, found, agent
        self._steps = {step.name: step for step in facts.steps}
        self._main = found.versions[facts.analysis.version].version
        self._datasets = {dataset.name: dataset.inputs for dataset in facts.datasets}
        self._stacks = {stack.index: stack for stack in facts.stacks}

    def steps(self) -> list[Reference]:
        """The steps that have a stack, in order. Which data flows between them follows from the stacks."""
        ran = {stack.step for stack in self.facts.stacks}
        return [
            self.graph.add(
                named("step", step.name),
                "HowToStep",
                name=step.name,
                position=str(number),
                workExample=to(formal_id(self._version(step.name))),
            )
            for number, step in enumerate(self.facts.steps, start=1)
            if step.name in ran
        ]

    def describe(self) -> list[Reference]:
        """One action per stack. Outputs before inputs, since a stack may read what a later one in the list wrote."""
        for stack in self.facts.stacks:
            for file, output in zip(self.found.outputs[stack.index], stack.outputs, strict=True):
                self.graph.file(file, exampleOfWork=output_parameter(self._version(stack.step), output.path))
        return [self._run(stack) for stack in self.facts.stacks]

    def controls(self) -> list[Reference]:
        """That the platform ran each stack as its step."""
        return [
            self.graph.add(
                named("control", stack.index),
                "ControlAction",
                name=f"Run step {stack.step} on {stack.dataset}",
                instrument=to(named("step", stack.step)),
                object=to(named("stack", stack.index)),
                actionStatus=status_of(stack.status),
                error=error_of(stack.status, stack.reason, ""),
            )
            for stack in self.facts.stacks
        ]

    def data(self, data: DataFacts, parameter: Reference) -> Reference:
        """Submitted data, which isn't in the crate: named by its SHA-256 (RFC 6920), so that nobody looks for it."""
        digest = base64.urlsafe_b64encode(bytes.fromhex(data.sha256)).decode().rstrip("=")
        folder = data.form == "folder"
        reference = self.graph.add(
            f"ni:///sha-256;{digest}",
            "CreativeWork",
            additionalType="Dataset" if folder else "File",
            name=data.filename,
            description="Submitted data; not in this crate."
            + (" The digest is of the folder's listing: digest, size and path of each file." if folder else ""),
            contentSize=str(data.size_bytes),
            sha256=data.sha256,
        )
        self.graph.link(reference["@id"], "exampleOfWork", parameter)
        return reference

    def usage(self, name: str, value: Any, unit: str = "cost") -> Reference:
        """A PropertyValue of resourceUsage. propertyID: the field of the certificate that says it."""
        code, text = _UNITS[unit]
        field = "cost_dollars" if unit == "cost" else f"usage.{name.replace(' ', '_')}_{unit}"
        return self.graph.value(name, value, propertyID=f"urn:neurocaas:{field}", unitCode=code, unitText=text)

    def _run(self, stack: StackFacts) -> Reference:
        version = self._version(stack.step)
        attempts = stack.attempts
        started = [one.started_at for one in attempts if one.started_at]
        ended = [one.ended_at for one in attempts if one.ended_at]
        return self.graph.add(
            named("stack", stack.index),
            "CreateAction",
            name=" ".join(filter(None, (stack.step, stack.label, "on", stack.dataset))),
            description=self._in_words(stack),
            instrument=to(formal_id(version)),
            agent=self.agent,
            object=[
                *(one for data in stack.inputs for one in self._input(stack, version, data)),
                *settings(self.graph, version, stack.config, stack.seed),
            ],
            result=[
                *(to(file.id) for file in self.found.outputs[stack.index]),
                *(self.graph.value(name, value) for name, value in stack.metrics.items()),
            ],
            startTime=time(started[0]) if started else None,
            endTime=time(ended[-1]) if ended else None,
            actionStatus=status_of(stack.status),
            error=error_of(stack.status, stack.reason, stack.message),
            resourceUsage=self._usage(stack),
            additionalProperty=self._machine(stack),
            wasInformedBy=self._origin(stack),
        )

    def _in_words(self, stack: StackFacts) -> str:
        if stack.reused_from:
            earlier = stack.reused_from
            return f"Answered from stack {earlier.stack} of job {earlier.job}, without running or being charged again."
        count = len(stack.attempts)
        return f"Step {stack.step} of job {self.facts.job.id}: {count} attempt{'' if count == 1 else 's'}."

    def _input(self, stack: StackFacts, version: Version, data: InputFacts) -> list[Reference]:
        """Submitted data, or the results of other stacks that this one read."""
        parameter = input_parameter(self.graph, version, data)
        if not data.from_stacks:
            for one in self._submitted_as(stack.dataset, data.sha256):
                self._connect(stack.step, input_parameter(self.graph, self._main, one), parameter)
            return [self.data(data, parameter)]
        read = []
        for index in data.from_stacks:
            source = self._stacks[index]
            for file, output in zip(self.found.outputs[index], source.outputs, strict=True):
                if data.form == "file" and file.sha256 != data.sha256:
                    continue
                if declared := output_parameter(self._version(source.step), output.path):
                    self._connect(stack.step, declared, parameter)
                self.graph.link(file.id, "exampleOfWork", parameter)
                read.append(to(file.id))
        return read

    def _submitted_as(self, dataset: str, sha256: str) -> list[DataFacts]:
        """As what the job was given this data."""
        return [one for one in self._datasets.get(dataset, ()) if one.sha256 == sha256]

    def _connect(self, step: str, source: Reference, target: Reference) -> None:
        """That a step reads at `target` what comes out of `source`."""
        if source == target:
            return
        id_ = named("connection", source["@id"].removeprefix("#"), target["@id"].removeprefix("#"))
        connection = self.graph.add(id_, "ParameterConnection", sourceParameter=source, targetParameter=target)
        self.graph.link(named("step", step), "connection", connection)

    def _usage(self, stack: StackFacts) -> list[Reference]:
        found = [self.usage("cost", stack.cost_dollars)]
        used = next((one.usage for one in reversed(stack.attempts) if one.usage), None)
        if used:
            found += [
                self.usage("wall", used.wall_seconds, "seconds"),
                self.usage("cpu", used.cpu_seconds, "seconds"),
                self.usage("peak memory", used.peak_memory_bytes, "bytes"),
                self.usage("peak storage", used.peak_storage_bytes, "bytes"),
            ]
        return found

    def _machine(self, stack: StackFacts) -> list[Reference]:
        if not stack.attempts:
            return []
        last = stack.attempts[-1]
        told = {"instance type": f"{last.instance.provider} {last.instance.type}"}
        if host := last.instance.host:
            told |= {"host CPU": host.cpu_model, "host platform": host.platform}
        if last.sandbox:
            told["sandbox"] = last.sandbox.method
        return [self.graph.value(name, value) for name, value in told.items()]

    def _origin(self, stack: StackFacts) -> Reference | None:
        """The run of an earlier job whose results these are."""
        if not stack.reused_from:
            return None
        earlier = stack.reused_from
        return self.graph.add(
            named("earlier", earlier.job, earlier.stack),
            "Action",
            name=f"Stack {earlier.stack} of job {earlier.job}",
            identifier=earlier.job,
            result=[to(file.id) for file in self.found.outputs[stack.index]],
        )

    def _version(self, step: str) -> Version:
        return self.found.versions[self._steps[step].version].version
