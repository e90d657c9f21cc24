"""The entities of a crate's description, and the small ones that many others refer to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from neurocaas.blueprint import Version
from neurocaas.certificate.crate_files import SHORT, CrateFile, media_type
from neurocaas.certificate.facts import DataFacts
from neurocaas.documents import canonical

Entity = dict[str, Any]
Reference = dict[str, str]

FORMAL_PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
_DATA_TYPES = {"boolean": "Boolean", "integer": "Integer", "number": "Float", "string": "Text"}
_PYTHON_TYPES = {bool: "Boolean", int: "Integer", float: "Float", str: "Text"}


def named(*parts: str | int) -> str:
    """An identifier inside the description, from parts that may hold any character."""
    return "#" + "/".join(quote(str(part), safe="") for part in parts)


def to(id_: str) -> Reference:
    return {"@id": id_}


@dataclass
class Graph:
    """Entities by identifier, in the order in which they were first mentioned."""

    entities: dict[str, Entity] = field(default_factory=dict)
    _values: dict[tuple[str, bytes], Reference] = field(default_factory=dict)

    def add(self, id_: str, type_: str | list[str], **properties: Any) -> Reference:
        """Describe an entity; what is None or empty is left out. One that is described already gains what it lacks."""
        entity = self.entities.setdefault(id_, {"@id": id_, "@type": type_})
        for name, value in properties.items():
            if value not in (None, "", [], ()) and name not in entity:
                entity[name] = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        return to(id_)

    def link(self, id_: str, name: str, reference: Reference) -> None:
        """Add a reference to a property that may have several."""
        entity = self.entities[id_]
        there = entity.get(name, [])
        there = there if isinstance(there, list) else [there]
        if reference not in there:
            there = [*there, reference]
        entity[name] = there[0] if len(there) == 1 else there

    def file(self, file: CrateFile, **properties: Any) -> Reference:
        """A file of the crate, under its own name if no other is given."""
        described = {
            "name": PurePosixPath(file.path).name,
            "contentSize": str(file.size_bytes),
            "sha256": file.sha256,
            "encodingFormat": media_type(file.path),
        }
        return self.add(file.id, properties.pop("type_", "File"), **described | properties)

    def value(self, name: str, value: Any, *, parameter: Reference | None = None, **properties: Any) -> Reference:
        """A PropertyValue, the same one wherever the same is said. What is no number, text or truth is JSON text."""
        said = canonical([name, value, properties])
        key = (parameter["@id"] if parameter else "", said)
        if key not in self._values:
            plain = value if isinstance(value, bool | int | float | str) else canonical(value).decode()
            id_ = named("value", len(self._values))
            self._values[key] = to(id_)
            self.entities[id_] = {"@id": id_, "@type": "PropertyValue", "name": name, "value": plain, **properties}
            if parameter:
                self.entities[id_]["exampleOfWork"] = parameter
        return self._values[key]


def formal_inputs(graph: Graph, version: Version) -> list[Reference]:
    """The inputs and parameters that an analysis declares."""
    inputs = [
        _formal(
            graph,
            formal_id(version, "input", name),
            name=name,
            additionalType="Dataset" if one.form == "folder" else "File",
            description=one.description or one.title,
            valueRequired=one.required,
        )
        for name, one in version.blueprint.inputs.items()
    ]
    properties = version.schema_of_parameters.get("properties", {})
    return inputs + [_formal_parameter(graph, version, name, schema) for name, schema in properties.items()]


def formal_outputs(graph: Graph, version: Version) -> list[Reference]:
    """The outputs that an analysis declares."""
    return [
        _formal(
            graph,
            formal_id(version, "output", name),
            name=name,
            additionalType="File",
            description=one.description,
            valueRequired=one.required,
        )
        for name, one in version.blueprint.outputs.items()
    ]


def input_parameter(graph: Graph, version: Version, data: DataFacts) -> Reference:
    """The declared input that data was given as."""
    kind = "Dataset" if data.form == "folder" else "File"
    return _formal(graph, formal_id(version, "input", data.name), name=data.name, additionalType=kind)


def settings(graph: Graph, version: Version, config: dict[str, Any], seed: int) -> list[Reference]:
    """What was set: a value for each parameter, and the seed."""
    return [
        *(parameter_value(graph, version, name, value) for name, value in config.items()),
        parameter_value(graph, version, "seed", seed),
    ]


def parameter_value(graph: Graph, version: Version, name: str, value: Any) -> Reference:
    id_ = formal_id(version, "parameter", name)
    if id_ not in graph.entities:  # the seed, and settings of an analysis' parts, are in no schema
        kind = _PYTHON_TYPES.get(type(value), "PropertyValue")
        _formal(graph, id_, name=name, additionalType=kind)
    return graph.value(name, value, parameter=to(id_))


def output_parameter(version: Version, path: str) -> Reference | None:
    """The declared output that a result is; None for one that nobody declared."""
    for name, one in version.blueprint.outputs.items():
        if _fits(path, one.pattern):
            return to(formal_id(version, "output", name))
    return None


def formal_id(version: Version, *what: str) -> str:
    return named(f"{version.name}-{version.digest[:SHORT]}", *what)


def _formal_parameter(graph: Graph, version: Version, name: str, schema: Any) -> Reference:
    schema = schema if isinstance(schema, dict) else {}
    default = schema.get("default")
    return _formal(
        graph,
        formal_id(version, "parameter", name),
        name=name,
        additionalType=_data_type(schema),
        description=schema.get("description"),
        defaultValue=default if isinstance(default, bool | int | float | str | None) else canonical(default).decode(),
        valueRequired=name in version.schema_of_parameters.get("required", ()),
    )


def _formal(graph: Graph, id_: str, **properties: Any) -> Reference:
    return graph.add(id_, "FormalParameter", conformsTo=to(FORMAL_PARAMETER), **properties)


def _data_type(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    return _DATA_TYPES.get(kind, "PropertyValue") if isinstance(kind, str) else "PropertyValue"


def _fits(path: str, pattern: str) -> bool:
    """Whether a result is one that a pattern takes: the path itself, or a folder that it lies in."""
    if "**" in pattern:
        return fnmatchcase(path, pattern.replace("**/", "*"))
    depth = len(PurePosixPath(pattern).parts)
    return any(len(one.parts) == depth and one.match(pattern) for one in _with_folders(path))


def _with_folders(path: str) -> Iterable[PurePosixPath]:
    whole = PurePosixPath(path)
    return (whole, *whole.parents)
