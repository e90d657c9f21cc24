"""What Slurm's words for a job's state, and for why it waits, mean here."""

from __future__ import annotations

from neurocaas.bank.provider import State
from neurocaas.bank.slurm.answers import TaskState

# https://slurm.schedmd.com/squeue.html, "JOB STATE CODES". A state that is not here has ended.
STATES = {
    "PENDING": State.PENDING,
    "CONFIGURING": State.PENDING,
    "REQUEUED": State.PENDING,
    "SUSPENDED": State.PENDING,
    "RUNNING": State.RUNNING,
    "COMPLETING": State.RUNNING,
    "RESIZING": State.RUNNING,
    "SIGNALING": State.RUNNING,
    "STAGE_OUT": State.RUNNING,
    "STOPPED": State.RUNNING,
    "PREEMPTED": State.INTERRUPTED,
    "TIMEOUT": State.TIMED_OUT,
    "DEADLINE": State.TIMED_OUT,
    "OUT_OF_MEMORY": State.OUT_OF_MEMORY,
}
ENDS = {
    "NODE_FAIL": "Slurm says that its node failed.",
    "BOOT_FAIL": "Slurm says that its node did not start.",
    "PREEMPTED": "Slurm gave its node to a job that goes before it.",
    "TIMEOUT": "Slurm ended it at its time limit.",
    "DEADLINE": "Slurm ended it at its deadline.",
    "OUT_OF_MEMORY": "Slurm ended it for the memory that it used.",
    "CANCELLED": "It was cancelled in Slurm.",
    "FAILED": "Slurm says that its script failed.",
}
WAITS = {
    "Resources": "Slurm waits for a node with what it needs.",
    "Priority": "Slurm has jobs before it, which have a higher priority.",
    "Licenses": "Slurm waits for a licence.",
    "Reservation": "Slurm waits for its reservation.",
    "JobHeldUser": "It is held in Slurm.",
    "JobHeldAdmin": "An operator of the cluster holds it in Slurm.",
    "PartitionDown": "Its partition is down in Slurm.",
    "PartitionInactive": "Its partition is inactive in Slurm.",
}
# Nothing that happens on the cluster by itself will let such a job begin.
NEVER = frozenset(
    {
        "AccountNotAllowed",
        "BadConstraints",
        "InvalidAccount",
        "InvalidQOS",
        "PartitionNodeLimit",
        "PartitionTimeLimit",
        "QOSNotAllowed",
    }
)


def state_of(task: TaskState) -> State:
    if task.state == "PENDING" and task.reason in NEVER:
        return State.UNAVAILABLE
    return STATES.get(task.state, State.GONE)


def why(task: TaskState) -> str:
    """Why the task waits or how it ended, as a sentence; empty while it runs, and where it ended well."""
    if task.state == "SUSPENDED":
        return "Slurm has suspended it for a job that goes before it."
    if STATES.get(task.state) is not State.PENDING:
        said = ENDS.get(task.state, "")
        return f"{said.rstrip('.')} (on {task.node})." if said and task.node else said
    if task.state != "PENDING":
        return "Slurm prepares its node."
    if not task.reason:
        return "Slurm has not looked at it yet."
    if task.reason.startswith("ReqNodeNotAvail"):
        return "The nodes that it could have are down, drained or reserved in Slurm."
    if task.reason in NEVER:
        return f"It can never begin in Slurm, which says: {task.reason}."
    if task.reason.startswith(("QOS", "Assoc")):
        return f"A limit of the account or quality of service is reached in Slurm: {task.reason}."
    return WAITS.get(task.reason) or f"It waits in Slurm, which says: {task.reason}."
