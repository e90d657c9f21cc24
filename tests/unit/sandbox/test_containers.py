from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from neurocaas.errors import Unavailable
from neurocaas.sandbox import MIB, Limits, Mount, View, seccomp
from neurocaas.sandbox.containers import Place, apptainer_arguments, create_arguments, is_awkward
from neurocaas.sandbox.engine import Engine

PODMAN = Engine(name="podman", program="/usr/bin/podman", version="4.3.1", init=True)
DOCKER = Engine(name="docker", program="/usr/bin/docker", version="27.0", init=True)
VIEW = View(
    command=("/bin/bash", "/workflow/workflow.sh"),
    image="example.org/analysis@sha256:" + "0" * 64,
    mounts=(
        Mount(source=Path("/data/movie.tif"), target="/job/inputs/recording/movie.tif"),
        Mount(source=Path("/lab/results"), target="/job/results", writable=True),
    ),
    files={"/job/config.json": b"{}"},
    variables={"PATH": "/usr/bin:/bin", "NEUROCAAS_SEED": "7"},
    cwd="/job/scratch",
    host_uid=60001,
    temporary=("/run",),
)
LIMITS = Limits(memory_bytes=256 * MIB, processes=64, file_bytes=100 * MIB)
PLACE = Place(
    name="neurocaas-1",
    uid=60001,
    gid=60001,
    sources={},
    files={"/job/config.json": Path("/tmp/f/file0")},
    seccomp=Path("/tmp/f/seccomp.json"),
    cgroup="/neurocaas/job",
    cores=(0, 2),
    ulimits={"nofile": (1024, 4096)},
)


def values(words: list[str], option: str) -> list[str]:
    return [after for word, after in itertools.pairwise(words) if word == option]


@pytest.mark.parametrize("engine", [PODMAN, DOCKER], ids=lambda engine: engine.name)
def test_a_container_may_do_no_more_than_what_bubblewrap_lets_a_workflow_do(engine: Engine) -> None:
    words = create_arguments(VIEW, engine=engine, limits=LIMITS, place=PLACE)
    assert words[:4] == [engine.program, "create", "--name", "neurocaas-1"]
    assert {"--read-only", "--init", "--no-healthcheck"} <= set(words)
    assert values(words, "--user") == ["60001:60001"]
    assert values(words, "--cap-drop") == ["ALL"]
    assert values(words, "--network") == ["none"]
    assert {"no-new-privileges", "seccomp=/tmp/f/seccomp.json"} <= set(values(words, "--security-opt"))
    assert values(words, "--memory") == values(words, "--memory-swap") == [str(256 * MIB)]
    assert values(words, "--pids-limit") == ["64"]
    assert values(words, "--ulimit") == ["core=0:0", f"fsize={100 * MIB}:{100 * MIB}", "nofile=1024:4096"]
    assert values(words, "--cpuset-cpus") == ["0,2"]
    assert values(words, "--cgroup-parent") == ["/neurocaas/job"]
    assert values(words, "--tmpfs") == [f"/run:rw,nosuid,nodev,size={16 * MIB},mode=1777"]
    assert values(words, "--env") == ["PATH=/usr/bin:/bin", "NEUROCAAS_SEED=7"]
    assert words[-4:] == ["--entrypoint", "/bin/bash", VIEW.image, "/workflow/workflow.sh"]


def test_each_engine_gets_mounts_in_its_own_words() -> None:
    podman = values(create_arguments(VIEW, engine=PODMAN, limits=LIMITS, place=PLACE), "--mount")
    docker = values(create_arguments(VIEW, engine=DOCKER, limits=LIMITS, place=PLACE), "--mount")
    assert podman == [
        "type=bind,source=/data/movie.tif,target=/job/inputs/recording/movie.tif,ro=true",
        "type=bind,source=/lab/results,target=/job/results",
        "type=bind,source=/tmp/f/file0,target=/job/config.json,ro=true",
    ]
    assert docker == [line.replace("ro=true", "readonly") for line in podman]


def test_what_podman_does_unasked_is_switched_off() -> None:
    words = create_arguments(VIEW, engine=PODMAN, limits=LIMITS, place=PLACE)
    unasked = {"--read-only-tmpfs=false", "--http-proxy=false", "--systemd=false", "--cgroups=no-conmon"}
    assert unasked <= set(words)
    assert not unasked & set(create_arguments(VIEW, engine=DOCKER, limits=LIMITS, place=PLACE))


def test_a_rootless_podman_keeps_the_users_own_uid() -> None:
    rootless = Engine(name="podman", program="podman", version="5", rootless=True)
    assert values(create_arguments(VIEW, engine=rootless, limits=LIMITS, place=PLACE), "--userns") == ["keep-id"]


@pytest.mark.parametrize(
    ("target", "option", "value"),
    [
        ("/job/a, b.txt", "--volume", "/data/x:/job/a, b.txt:ro"),
        ("/job/12:30.txt", "--mount", "type=bind,source=/data/x,target=/job/12:30.txt,ro=true"),
    ],
)
def test_podman_is_told_of_names_with_a_comma_or_a_colon(target: str, option: str, value: str) -> None:
    view = View(command=("true",), image="i", mounts=(Mount(source=Path("/data/x"), target=target),))
    assert value in values(create_arguments(view, engine=PODMAN, limits=LIMITS, place=PLACE), option)


def test_podman_refuses_a_name_with_both_in_a_sentence_and_docker_takes_it() -> None:
    view = View(command=("true",), image="i", mounts=(Mount(source=Path("/data/x"), target='/job/a, "12:30".txt'),))
    with pytest.raises(Unavailable, match="a comma or a colon, not both"):
        create_arguments(view, engine=PODMAN, limits=LIMITS, place=PLACE)
    words = create_arguments(view, engine=DOCKER, limits=LIMITS, place=PLACE)
    assert 'type=bind,source=/data/x,"target=/job/a, ""12:30"".txt",readonly' in values(words, "--mount")


def test_sources_that_an_engine_would_misread_get_another_name() -> None:
    assert not is_awkward(Path("/data/día 1 (100%).tif"))
    assert is_awkward(Path("/data/a,b.tif"))
    place = Place(name="n", uid=1, gid=1, sources={"/job/results": Path("/tmp/f/link0")}, files={}, seccomp=Path("/s"))
    mounts = values(create_arguments(VIEW, engine=PODMAN, limits=LIMITS, place=place), "--mount")
    assert "type=bind,source=/tmp/f/link0,target=/job/results" in mounts


def test_gpus_come_by_cdi_where_the_machine_has_it_and_else_as_files() -> None:
    view = View(command=("true",), image="i", devices=("/dev/null", "/dev/nvidia-none"))
    cdi = Engine(name="podman", program="podman", version="5", gpus=True)
    assert values(create_arguments(view, engine=cdi, limits=LIMITS, place=PLACE), "--device") == ["nvidia.com/gpu=all"]
    assert values(create_arguments(view, engine=PODMAN, limits=LIMITS, place=PLACE), "--device") == ["/dev/null"]
    assert values(create_arguments(VIEW, engine=cdi, limits=LIMITS, place=PLACE), "--device") == []


def test_a_workflow_that_asked_for_a_network_gets_the_engines_own() -> None:
    view = View(command=("true",), image="i", network=True)
    assert values(create_arguments(view, engine=PODMAN, limits=LIMITS, place=PLACE), "--network") == []


def test_the_filter_of_system_calls_refuses_what_bubblewraps_does() -> None:
    rules = json.loads(seccomp.profile())
    assert rules["defaultAction"] == "SCMP_ACT_ALLOW"
    refused = {name for rule in rules["syscalls"] for name in rule["names"]}
    assert refused == {
        *("add_key", "request_key", "keyctl", "bpf", "perf_event_open", "userfaultfd", "clone3", "clone", "unshare"),
    }


def test_apptainer_is_told_the_same() -> None:
    words = apptainer_arguments(VIEW, limits=LIMITS, place=PLACE)
    assert words[:3] == ["apptainer", "--silent", "exec"]
    assert {"--containall", "--cleanenv", "--no-home", "--no-privs", "--net"} <= set(words)
    assert values(words, "--network") == ["none"]
    assert values(words, "--memory") == [str(256 * MIB)]
    assert values(words, "--mount") == [
        "type=bind,source=/data/movie.tif,destination=/job/inputs/recording/movie.tif,ro",
        "type=bind,source=/lab/results,destination=/job/results",
        "type=bind,source=/tmp/f/file0,destination=/job/config.json,ro",
    ]
    assert values(words, "--pwd") == ["/job/scratch"]
    assert words[-3:] == [f"docker://{VIEW.image}", "/bin/bash", "/workflow/workflow.sh"]
    sif = View(command=("true",), image="/images/analysis.sif", network=True, devices=("/dev/nvidia0",))
    words = apptainer_arguments(sif, limits=Limits(), place=PLACE)
    assert words[-2:] == ["/images/analysis.sif", "true"]
    assert "--nv" in words
    assert "--net" not in words
