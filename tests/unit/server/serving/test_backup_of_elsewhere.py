"""A backup of a store that is not on this machine, while objects of it go."""

from __future__ import annotations

import tarfile
from pathlib import Path

from neurocaas.errors import NotFound
from neurocaas.server.serving import backup
from neurocaas.server.serving.archive import Writer
from neurocaas.storage import Store, open_store


class Elsewhere:
    """A store whose objects lie on another machine, one of which goes as it is listed."""

    def __init__(self, store: Store, gone: str) -> None:
        self.list = store.list
        self._store = store
        self._gone = gone

    def local_path(self, key: str) -> None:
        return None

    def get_file(self, key: str, path: Path) -> None:
        if key == self._gone:
            raise NotFound(f"There is no {key}.")
        self._store.get_file(key, path)


def test_what_goes_while_the_store_is_read_is_passed_over(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    for name in ("a", "b", "c"):
        store.put(name, name.encode())
    (tmp_path / "work").mkdir()
    with Writer(tmp_path / "b.tar") as writer:
        elsewhere: Store = Elsewhere(store, "b")  # type: ignore[assignment]
        count = backup._add_store(writer, elsewhere, tmp_path / "work", without_results=False)
    with tarfile.open(tmp_path / "b.tar") as tar:
        assert {name for name in tar.getnames() if name.startswith("store/")} == {"store/a", "store/c"}
    assert count == 2
