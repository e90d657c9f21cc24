"""That an upload is nearly as quick as a plain PUT to nginx of the same file on the same machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.measured import measured

pytestmark = pytest.mark.alone

GB, REPETITIONS = 2, 3
LEAST_RATIO = 0.7


def test_two_gigabytes_are_uploaded_nearly_as_quickly_as_nginx_takes_them(
    record_property: Callable[[str, object], None],
) -> None:
    found = measured("transfer", "--gb", str(GB), "--repetitions", str(REPETITIONS))
    each = {name: ", ".join(f"{one:.0f}" for one in speeds) for name, speeds in found["speeds"].items()}
    record_property(
        "figures",
        f"Upload of {GB} GB, in turn: nginx PUT {found['medians']['nginx']:.0f} MB/s ({each['nginx']}), "
        f"platform {found['medians']['tus']:.0f} MB/s ({each['tus']}): ratio {found['ratio']:.2f}.",
    )
    assert found["ratio"] >= LEAST_RATIO
