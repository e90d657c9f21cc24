"""Protocols: pure functions from a submission to a plan (paper §2.1.2)."""

from neurocaas.protocol.plan import DataRef, Dataset, Plan, StackPlan, Step, Submission
from neurocaas.protocol.registry import PROTOCOLS, plan_for

__all__ = ["PROTOCOLS", "DataRef", "Dataset", "Plan", "StackPlan", "Step", "Submission", "plan_for"]
