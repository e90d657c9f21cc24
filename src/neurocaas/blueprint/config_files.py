"""Configs as people write them: YAML or JSON files, and key=value words on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from neurocaas.blueprint.parameters import Config
from neurocaas.documents import shown
from neurocaas.errors import NotFound, Refused

MAX_CONFIG_BYTES = 4 * 1024**2


class _Loader(yaml.SafeLoader):
    """YAML that reads 1e-3 as a number, as scientists write it and YAML 1.2 has it (1.1 wants 1.0e-3)."""


_Loader.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read_config(path: Path) -> Config:
    """A config file, YAML or JSON. Raises NotFound or Refused with the line of the fault."""
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
    try:
        value = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except json.JSONDecodeError as cause:
        raise Refused(f"{path}: line {cause.lineno}: {cause.msg}; JSON is right in a .json file.") from cause
    except (yaml.YAMLError, RecursionError, ValueError) as cause:
        mark = getattr(cause, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise Refused(f"{path}: {line}it is not YAML; lines such as `components: 10` are right.") from cause
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise Refused(f"{path}: found {shown(value)}; parameter names with values, as `components: 10`, are right.")
    return value


def read_assignments(assignments: Iterable[str]) -> Config:
    """`key=value` pairs of the command line; a value is read as YAML, so 3 is a number and true a boolean."""
    config: Config = {}
    for one in assignments:
        key, equals, text = one.partition("=")
        if not equals or not key.strip():
            raise Refused(f"--set {one}: found no name before an equals sign; key=value is right.")
        try:
            config[key.strip()] = yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
        except yaml.YAMLError as cause:
            raise Refused(f"--set {one}: {shown(text)} is not a YAML value.") from cause
    return config
