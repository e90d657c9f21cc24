"""Configs as people write them: YAML or JSON files, and key=value words on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from neurocaas.blueprint.parameters import Config
from neurocaas.documents import shown
from neurocaas.errors import NotFound, Refused

MAX_CONFIG_BYTES = 4 * 1024**2


class _Loader(yaml.SafeLoader):
    """YAML that reads 1e-3 as a number, as scientists write it and YAML 1.2 has it (1.1 wants 1.0e-3).

    No aliases: a few lines of them stand for more text than any memory holds.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read_config(path: Path) -> Config:
    """A config file, YAML or JSON. Raises NotFound or Refused with the line of the fault."""
    return _config(_read(path), path)


def parse_config(text: str, name: str) -> Config:
    """The text of a config, YAML or JSON. name: what sentences call it. Raises Refused with the line of the fault."""
    return _config(parse_text(text, name), name)


def parse_text(text: str, name: str) -> Any:
    """The value that a YAML or JSON text is. Raises Refused with the line of the fault."""
    if len(text.encode(errors="replace")) > MAX_CONFIG_BYTES:
        raise Refused(f"{name}: it is larger than 4 MiB; a config of a few lines is right.")
    return _parsed(text, name, is_json=name.endswith(".json"))


def _config(value: Any, name: Path | str) -> Config:
    if value is None:
        return {}
    if not _is_config(value):
        raise Refused(f"{name}: found {shown(value)}; parameter names with values, as `components: 10`, are right.")
    return dict(value)


def read_list(path: Path) -> list[Config]:
    """A list of configs in one file, YAML or JSON. Raises NotFound or Refused."""
    value = _read(path)
    if not isinstance(value, list) or not value or not all(map(_is_config, value)):
        raise Refused(f"{path}: found {shown(value)}; a list of parameter names with values is right.")
    return value


def read_sweep(swept: Iterable[str]) -> dict[str, list[Any]]:
    """`key=value,value` words of the command line: the values of each parameter of a sweep."""
    values: dict[str, list[Any]] = {}
    for one in swept:
        key, equals, text = one.partition("=")
        if not equals or not key.strip():
            raise Refused(f"--sweep {one}: found no name before an equals sign; key=value,value is right.")
        found = value_of(f"[{text}]", f"--sweep {one}")
        if key.strip() in values:
            raise Refused(f"--sweep {one}: {key.strip()} is there twice; all its values at once are right.")
        values[key.strip()] = found
    return values


def value_of(text: str, where: str) -> Any:
    """One value as YAML: 3 is a number, true a boolean. Raises Refused."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as cause:
        raise Refused(f"{where}: {shown(text)} is not a YAML value.") from cause


def _is_config(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise Refused(f"{path}: it is larger than 4 MiB; a config of a few lines is right.")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"{path}: there is no such config file.") from None
    except OSError as cause:
        raise Refused(f"{path} can't be read: {cause.strerror}.") from cause
    except UnicodeDecodeError as cause:
        raise Refused(f"{path}: it is not text; a YAML or JSON file is right.") from cause
    return _parsed(text, path, is_json=path.suffix == ".json")


def _parsed(text: str, name: Path | str, *, is_json: bool) -> Any:
    try:
        return json.loads(text) if is_json else yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except json.JSONDecodeError as cause:
        raise Refused(f"{name}: line {cause.lineno}: {cause.msg}; JSON is right in a .json file.") from cause
    except (yaml.YAMLError, RecursionError, ValueError) as cause:
        mark = getattr(cause, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise Refused(f"{name}: {line}it is not YAML; lines such as `components: 10` are right.") from cause


def read_assignments(assignments: Iterable[str]) -> Config:
    """`key=value` pairs of the command line; a value is read as YAML, so 3 is a number and true a boolean."""
    config: Config = {}
    for one in assignments:
        key, equals, text = one.partition("=")
        if not equals or not key.strip():
            raise Refused(f"--set {one}: found no name before an equals sign; key=value is right.")
        config[key.strip()] = value_of(text, f"--set {one}")
    return config
