"""Blueprints: the documents that declare analyses, their versions, and the source repo that holds them."""

from neurocaas.blueprint.family import Family
from neurocaas.blueprint.model import Blueprint, Need
from neurocaas.blueprint.source_repo import SourceRepo
from neurocaas.blueprint.version import Version, read_version

__all__ = ["Blueprint", "Family", "Need", "SourceRepo", "Version", "read_version"]
