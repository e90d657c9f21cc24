from __future__ import annotations

from pathlib import Path

import pytest

from neurocaas.environment.uv import find_uv, last_sentence, local_paths, passed_on


def test_uv_comes_with_the_project() -> None:
    assert find_uv().is_file()


def test_uv_sees_indexes_proxies_and_certificates_and_no_other_secret() -> None:
    caller = {
        "UV_INDEX_URL": "https://mirror/simple",
        "UV_INDEX_LAB_PASSWORD": "p",
        "HTTPS_PROXY": "http://proxy:3128",
        "SSL_CERT_FILE": "/etc/ssl/certs/lab.pem",
        "UV_FIND_LINKS": "",
        "UV_TARGET": "/somewhere",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PYTHONPATH": "/home/me",
    }
    own = {"UV_SYSTEM_CERTS"}
    assert set(passed_on(caller)) == own | {"UV_INDEX_URL", "UV_INDEX_LAB_PASSWORD", "HTTPS_PROXY", "SSL_CERT_FILE"}


def test_local_folders_named_in_settings_are_shown_to_uv(tmp_path: Path) -> None:
    wheels, other, certificate = tmp_path / "wheels", tmp_path / "more wheels", tmp_path / "ca.pem"
    wheels.mkdir()
    other.mkdir()
    certificate.touch()
    variables = {
        "UV_FIND_LINKS": f"{wheels},https://example.org/wheels {other.as_uri()}",
        "UV_INDEX": f"lab={wheels}",
        "SSL_CERT_FILE": str(certificate),
        "SSL_CERT_DIR": str(tmp_path / "missing"),
    }
    assert local_paths(variables) == [certificate, wheels, other]


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        (
            (
                "Using Python 3.11.2\nerror: No solution found when resolving dependencies\n"
                "  cause: Because x==1 was not found in the package registry, we can conclude it.\n\nhint: more\n"
            ),
            (
                "No solution found when resolving dependencies: "
                "Because x==1 was not found in the package registry, we can conclude it."
            ),
        ),
        (
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because x==1 was not found\n      anywhere.\n",
            "No solution found when resolving dependencies: Because x==1 was not found anywhere.",
        ),
        (
            (
                "error: No solution found\n\n"
                "hint: Wheels are required for `docopt` because building from source is disabled for all packages"
            ),
            (
                "docopt has no wheel that fits this Python and platform, and environments are made of wheels only; "
                "lock a version that has one."
            ),
        ),
        ("one\n\ntwo\n\n", "two."),
        ("", "Nothing was written."),
    ],
)
def test_a_log_is_summed_up_in_its_last_meaningful_sentence(log: str, sentence: str) -> None:
    assert last_sentence(log.splitlines()) == sentence


def test_uv_trusts_whom_the_machine_trusts_unless_told_otherwise() -> None:
    assert passed_on({})["UV_SYSTEM_CERTS"] == "1"
    assert passed_on({"UV_SYSTEM_CERTS": "0"})["UV_SYSTEM_CERTS"] == "0"
