"""Environments: immutable, named by digest, built once from a lock with their interpreter, and checked before use."""

from neurocaas.environment.builder import Builder, Placement
from neurocaas.environment.cleaning import Removed
from neurocaas.environment.interpreters import InterpreterStore
from neurocaas.environment.python import PythonBuilder
from neurocaas.environment.store import EnvironmentStore, request_digest
from neurocaas.environment.values import (
    Damage,
    Environment,
    EnvironmentSpec,
    Interpreter,
    Mount,
    current_platform,
)

__all__ = [
    "Builder",
    "Damage",
    "Environment",
    "EnvironmentSpec",
    "EnvironmentStore",
    "Interpreter",
    "InterpreterStore",
    "Mount",
    "Placement",
    "PythonBuilder",
    "Removed",
    "current_platform",
    "request_digest",
]
