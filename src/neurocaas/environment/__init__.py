"""Environments: immutable, named by digest, built once from a lock or as an image, and checked before use."""

from neurocaas.environment.builder import Builder, Placement
from neurocaas.environment.cleaning import Removed
from neurocaas.environment.image import ImageBuilder
from neurocaas.environment.interpreters import InterpreterStore
from neurocaas.environment.python import PythonBuilder
from neurocaas.environment.store import EnvironmentStore
from neurocaas.environment.values import (
    Damage,
    Environment,
    EnvironmentSpec,
    ImageSource,
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
    "ImageBuilder",
    "ImageSource",
    "Interpreter",
    "InterpreterStore",
    "Mount",
    "Placement",
    "PythonBuilder",
    "Removed",
    "current_platform",
]
