"""A `python` environment as an OCI image: base, runner, interpreter and environment, each a layer that images share.

Made without an engine, so that it has the same digest wherever it is made from the same parts. In it are

    /opt/neurocaas/mounts/<target>    each tree that the workflow sees at /<target>, such as env and python
    /opt/neurocaas/runner             the runner, its libraries and an interpreter of its own; it is the entrypoint

and bubblewrap and setpriv, of the base, with which the runner starts the workflow inside the container.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from neurocaas.documents import digest_of
from neurocaas.environment import registry, runner_tree
from neurocaas.environment.base_image import base_layers
from neurocaas.environment.image_records import LOCK, ImageRef, record, recorded
from neurocaas.environment.locks import locked
from neurocaas.environment.oci import Blobs, Layer, add_parents, add_tree, packing
from neurocaas.environment.store import EnvironmentStore
from neurocaas.environment.values import Environment
from neurocaas.errors import EnvironmentBroken, Refused
from neurocaas.sandbox import find_engine
from neurocaas.settings import Images

MOUNTS = "/opt/neurocaas/mounts"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LABEL = "org.neurocaas.environment"


def image_of(
    store: EnvironmentStore,
    environment: Environment,
    images: Images,
    *,
    base: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> ImageRef:
    """The image of a `python` environment; made now, in a minute or two, if it is not here or its parts changed.

    base: an image of the engine's to stand on instead of the site's. Raises Refused for an environment of another
    kind, EnvironmentBroken or Unavailable with one sentence when it can't be made.
    """
    if environment.kind != "python":
        raise Refused(f"The environment {environment.digest[:12]} is of kind {environment.kind}; python is right.")
    root = store.images
    with locked(root / LOCK, waiting=lambda: progress("Waiting for another image that is being made.")):
        own = store.interpreters.provide(runner_tree.own_python(), progress=progress)
        runner = runner_tree.fingerprint()
        made_of = digest_of({"base": base or images.base, "runner": runner, "python": own.digest})
        known = recorded(root, environment.digest)
        if known is not None and known.made_of == made_of and Blobs(root).whole(known.image):
            return known
        blobs = Blobs(root)
        chosen = base or images.base
        layers = base_layers(blobs, chosen, find_engine(images.engine).program if chosen else "", progress=progress)
        progress("Packing the runner.")
        layers += [
            _tree(blobs, f"runner-python-{own.digest}", own.tree, f"{runner_tree.HOME}/python"),
            blobs.layer(f"runner-{runner}-{own.digest}", lambda to: runner_tree.write_library(to, own)),
        ]
        for mount in environment.mounts:
            progress(f"Packing {mount.target}.")
            digest = environment.interpreter if mount.target == "/python" else environment.digest
            name = mount.target.strip("/")
            layers.append(_tree(blobs, f"mount-{name}-{digest}", mount.source, f"{MOUNTS}/{name}"))
        config = {
            "Entrypoint": [runner_tree.ENTRYPOINT],
            "Env": [f"PATH={PATH}", "LANG=C.UTF-8"],
            "Labels": {LABEL: environment.digest},
            "WorkingDir": "/",
        }
        image = blobs.image(layers, config)
        return record(
            ImageRef(
                **image.model_dump(),
                reference=f"localhost/neurocaas:{environment.digest[:12]}",
                environment=environment.digest,
                made_of=made_of,
                root=root,
            )
        )


def _tree(blobs: Blobs, key: str, tree: Path, target: str) -> Layer:
    def write(to: IO[bytes]) -> None:
        with packing(to) as archive:
            add_parents(archive, target)
            add_tree(archive, tree, target)

    return blobs.layer(key, write)


def load(image: ImageRef, engine: str = "") -> str:
    """Give the image to the engine's own storage. Returns its id there. Raises EnvironmentBroken, Unavailable."""
    found = find_engine(engine)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([found.program, "load"], stdin=subprocess.PIPE, stdout=said, stderr=said)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as to:
            Blobs(image.root).write_archive(image.image, to, tag=image.reference)
        if process.wait():
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()
            raise EnvironmentBroken(f"{found.name} did not take the image: {words[-1] if words else 'no words'}.")
    return image.id


def push(
    image: ImageRef,
    reference: str,
    *,
    progress: Callable[[str], None] = lambda _: None,
    sign_in: registry.SignIn | None = None,
) -> str:
    """Send the image to a registry: `reference` is HOST[:PORT]/NAME[:TAG]. Returns it pinned, HOST/NAME@sha256:….

    What the registry has already is not sent again. sign_in: as `registry.push` takes it. Raises Refused, Forbidden or
    RemoteFailed with one sentence.
    """
    pinned = registry.push(Blobs(image.root), image.image, reference, progress=progress, sign_in=sign_in)
    if pinned not in image.pushed:
        record(image.model_copy(update={"pushed": (*image.pushed, pinned)}))
    return pinned
