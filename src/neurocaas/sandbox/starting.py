"""Start a View where it belongs: in bubblewrap over this machine's /usr, or in a container of its image."""

from __future__ import annotations

from neurocaas.sandbox import contained, process
from neurocaas.sandbox.bubblewrap import Identity
from neurocaas.sandbox.cage import Cage
from neurocaas.sandbox.ending import Sandboxed
from neurocaas.sandbox.view import Limits, View


def start(
    view: View,
    *,
    cage: Cage,
    limits: Limits,
    stdin: int,
    stdout: int,
    stderr: int,
    identity: Identity | None = None,
) -> Sandboxed:
    """Start `view.command`. It goes when the calling thread's process does, whatever kills that.

    stdin, stdout, stderr: file descriptors of this process; the caller closes its own copies. A container's stdin is
    empty. identity: for bubblewrap, instead of what this process' user asks for.
    Raises Unavailable when bubblewrap or the container engine is missing or the process can't be made, Refused for an
    unsafe View, NotFound when the image is not to be had.
    """
    if view.image:
        return contained.start(view, cage=cage, limits=limits, stdout=stdout, stderr=stderr)
    return process.start(view, cage=cage, limits=limits, stdin=stdin, stdout=stdout, stderr=stderr, identity=identity)
