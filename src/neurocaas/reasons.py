"""Why a stack is where it is, and what a person can do about it. Status says where; these say why."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The cause behind a status."""

    NONE = ""
    WAITING_FOR_INSTANCE = "WAITING_FOR_INSTANCE"
    WAITING_FOR_ENVIRONMENT = "WAITING_FOR_ENVIRONMENT"
    WAITING_FOR_STEP = "WAITING_FOR_STEP"
    RETRYING = "RETRYING"
    WORKFLOW_FAILED = "WORKFLOW_FAILED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    OUT_OF_STORAGE = "OUT_OF_STORAGE"
    TOO_MANY_PROCESSES = "TOO_MANY_PROCESSES"
    TIMED_OUT = "TIMED_OUT"
    RESULTS_MISSING = "RESULTS_MISSING"
    RESULTS_NOT_STORED = "RESULTS_NOT_STORED"
    INPUT_REJECTED = "INPUT_REJECTED"
    INPUT_CHANGED = "INPUT_CHANGED"
    INPUT_MISSING = "INPUT_MISSING"
    ENVIRONMENT_BROKEN = "ENVIRONMENT_BROKEN"
    SANDBOX_FAILED = "SANDBOX_FAILED"
    INSTANCE_LOST = "INSTANCE_LOST"
    INTERRUPTED = "INTERRUPTED"
    NO_CAPACITY = "NO_CAPACITY"
    STEP_BEFORE_FAILED = "STEP_BEFORE_FAILED"
    TOO_FEW_SUCCEEDED = "TOO_FEW_SUCCEEDED"
    BUDGET_SPENT = "BUDGET_SPENT"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"


REMEDY: dict[Reason, str] = {
    Reason.NONE: "",
    Reason.WAITING_FOR_INSTANCE: "It starts by itself as soon as a machine is free.",
    Reason.WAITING_FOR_ENVIRONMENT: "It starts by itself once the environment is built; later runs find it ready.",
    Reason.WAITING_FOR_STEP: "It starts by itself when the stacks before it have ended.",
    Reason.RETRYING: "It is tried again by itself.",
    Reason.WORKFLOW_FAILED: "Read the end of the log; check the dataset and the parameters, then submit again.",
    Reason.OUT_OF_MEMORY: "Use a smaller dataset, or ask for more memory in the blueprint's hardware.",
    Reason.OUT_OF_STORAGE: "Write less, or ask for more storage in the blueprint's hardware.",
    Reason.TOO_MANY_PROCESSES: "The workflow started more processes than it may; start fewer at once.",
    Reason.TIMED_OUT: "Use a smaller dataset, or raise the time limit in the blueprint's limits.",
    Reason.RESULTS_MISSING: "The workflow ended well but did not write an output it declares; tell its developer.",
    Reason.RESULTS_NOT_STORED: "Make room in the site's store, then submit again.",
    Reason.INPUT_REJECTED: "Check the dataset: the analysis' own check did not accept it.",
    Reason.INPUT_CHANGED: "Leave the file alone while its job runs, then submit again.",
    Reason.INPUT_MISSING: "Put the file back where it was, then submit again.",
    Reason.ENVIRONMENT_BROKEN: "Read the build log (neurocaas env list), or rebuild it with neurocaas env build.",
    Reason.SANDBOX_FAILED: "Run neurocaas doctor: this machine could not isolate the workflow.",
    Reason.INSTANCE_LOST: "The machine or the runner went away on every attempt; neurocaas retry tries again.",
    Reason.INTERRUPTED: "The provider took the instance back on every attempt; neurocaas retry tries again.",
    Reason.NO_CAPACITY: "Ask for a smaller instance, or run it on a larger machine.",
    Reason.STEP_BEFORE_FAILED: "See why the step before failed; neurocaas retry runs what failed, and nothing else.",
    Reason.TOO_FEW_SUCCEEDED: "See why members failed; neurocaas retry runs those, and nothing else.",
    Reason.BUDGET_SPENT: "Raise the budget (neurocaas budget set), then continue with neurocaas retry.",
    Reason.CANCELLED: "",
    Reason.INTERNAL: "This is a fault of the platform; please report it with the job's id.",
}
