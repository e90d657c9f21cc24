"""Analyses as values, without a folder: enough of a blueprint for plans to be made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neurocaas.blueprint import Blueprint, Family, Version
from neurocaas.documents import digest_of
from neurocaas.protocol import DataRef, Dataset, Plan, Submission, plan_for

MOVIE = {"movie": {"title": "Movie", "kinds": [".npy"]}}
OWN = {
    "environment": {"kind": "python", "python": "3.11", "lock": "requirements.lock"},
    "workflow": {"command": ["python", "workflow.py"], "files": ["workflow.py"]},
}


def schema(**defaults: Any) -> dict[str, Any]:
    """The parameters with these defaults; a parameter that is to have none has the default None."""
    kinds = {int: "integer", float: "number", str: "string", type(None): "integer"}
    properties = {
        name: {"type": kinds[type(one)], "description": f"The {name}."} | ({} if one is None else {"default": one})
        for name, one in defaults.items()
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def analysis(
    name: str,
    *,
    inputs: dict[str, Any] | None = None,
    outputs: dict[str, str] | None = None,
    parameters: dict[str, Any] | None = None,
    **more: Any,
) -> Family:
    """An analysis that runs. outputs: by their names, their kinds. parameters: by their names, their defaults."""
    document = {"name": name, "title": name, "summary": name, "inputs": inputs or MOVIE, **OWN, **more}
    kinds = {"result": "npy"} if outputs is None else outputs
    document["outputs"] = {one: {"kind": kind, "pattern": f"{one}.{kind}"} for one, kind in kinds.items()}
    return _family(document, schema(**(parameters or {})), {})


def chain(name: str, inputs: dict[str, Any] | None = None, /, **steps: tuple[Family, dict[str, Any]]) -> Family:
    """A chain of these, each with what its part of the blueprint says besides its pin."""
    children = {step: child for step, (child, _) in steps.items()}
    listed = [{"name": step, "analysis": pin(child), **part} for step, (child, part) in steps.items()]
    return _composite(name, inputs, {"kind": "chain", "steps": listed}, children)


def ensemble(
    name: str, member: Family, consensus: Family, *, members: int, succeed: int, inputs: dict[str, Any] | None = None
) -> Family:
    protocol = {
        "kind": "ensemble",
        "members": members,
        "succeed": succeed,
        "member": {"analysis": pin(member)},
        "consensus": {"analysis": pin(consensus), "inputs": {"results": "member.result"}},
    }
    return _composite(name, inputs, protocol, {"member": member, "consensus": consensus})


def consensus_analysis(**more: Any) -> Family:
    """An analysis of a folder of results."""
    return analysis("consensus", inputs={"results": {"title": "Results", "form": "folder"}}, **more)


def pin(family: Family) -> str:
    return f"{family.version.name}@{family.version.digest}"


def datasets(count: int, *inputs: str) -> tuple[Dataset, ...]:
    """So many datasets, each with an input of each of these names (`movie` if none is named)."""
    return tuple(
        Dataset(
            name=f"{number}.npy",
            folder=str(number),
            inputs=tuple(
                DataRef(name=one, form="file", filename=f"{number}.npy", sha256=digest_of([number, one]), size_bytes=9)
                for one in inputs or ("movie",)
            ),
        )
        for number in range(count)
    )


def submission(
    family: Family, count: int, *, seed: int = 0, points: Sequence[dict[str, Any]] = (), **config: Any
) -> Submission:
    given = {name.replace("__", "."): one for name, one in config.items()}
    return Submission(datasets=datasets(count), config=family.complete(given), seed=seed, points=tuple(points))


def planned(family: Family, given: Submission, plan: Any = None) -> Plan:
    """The plan of a submission. plan: what the analysis' own protocol returns, if it has one."""
    return plan_for(family, given, lambda *_: plan)


def _composite(name: str, inputs: dict[str, Any] | None, protocol: Any, children: dict[str, Family]) -> Family:
    document = {"name": name, "title": name, "summary": name, "inputs": inputs or MOVIE, "protocol": protocol}
    return _family(document, {}, children)


def _family(document: dict[str, Any], parameters: dict[str, Any], children: dict[str, Family]) -> Family:
    digest = digest_of([document, parameters])
    version = Version(
        name=document["name"],
        digest=digest,
        execution_digest=digest,
        blueprint=Blueprint.model_validate(document),
        schema_of_parameters=parameters,
        files=(),
    )
    return Family(version=version, children=children)
