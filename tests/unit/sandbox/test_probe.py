from __future__ import annotations

from pathlib import Path

import pytest

from neurocaas.errors import Unavailable
from neurocaas.sandbox import Identity, bubblewrap, probe
from neurocaas.sandbox.probe import remedy_for


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "apparmor_restrict_unprivileged_userns=0"),
        ("kernel/unprivileged_userns_clone", "0", "unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "max_user_namespaces="),
    ],
)
def test_the_remedy_names_the_setting_that_stands_in_the_way(
    tmp_path: Path, setting: str, value: str, remedy: str
) -> None:
    path = tmp_path / setting
    path.parent.mkdir(parents=True)
    path.write_text(f"{value}\n")
    assert remedy in remedy_for(Identity.USER_NAMESPACE, proc=tmp_path)


def test_a_machine_without_bubblewrap_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> tuple[int, ...]:
        raise Unavailable("bubblewrap is missing: bwrap is not on PATH.", remedy=bubblewrap.INSTALL)

    monkeypatch.setattr(bubblewrap, "version", missing)
    found = probe()
    assert not found.works
    assert "apt-get install bubblewrap" in found.remedy
