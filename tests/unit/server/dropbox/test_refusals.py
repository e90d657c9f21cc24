"""A bad submission gets a certificate that says why, and an end marker, always."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.dropbox import Dropped

KEY = "lab/submissions/1_submit.json"


def _raw(data: bytes | str) -> Callable[[Dropped], None]:
    def write(box: Dropped) -> None:
        box.put(KEY, data)

    return write


def _asking(**changes: Any) -> Callable[[Dropped], None]:
    def write(box: Dropped) -> None:
        box.ordinary(KEY, **changes)

    return write


def _config(data: bytes | str, name: str = "lab/configs/bad.yaml") -> Callable[[Dropped], None]:
    def write(box: Dropped) -> None:
        box.put(name, data)
        box.ordinary(KEY, configname=name)

    return write


def _data(name: str, data: bytes, named: str = "") -> Callable[[Dropped], None]:
    def write(box: Dropped) -> None:
        box.put(name, data)
        box.ordinary(KEY, dataname=named or name)

    return write


BAD: dict[str, tuple[Callable[[Dropped], None], str]] = {
    "broken": (_raw('{"dataname": '), "submit.json: line 1, column 14: Expecting value; a JSON document is right."),
    "empty": (_raw(""), "submit.json: line 1, column 1: Expecting value; a JSON document is right."),
    "not text": (_raw(b'{"a": "\xff"}'), "submit.json: byte 7 is not UTF-8 text; JSON in UTF-8 is right."),
    "no number": (_raw('{"timestamp": NaN}'), "submit.json: found NaN, which JSON does not have"),
    "no object": (_raw("[1]"), "submit.json: found [1]; an object with dataname and configname is right."),
    "nested": (_raw("[" * 100_000), "submit.json is nested too deeply; an object of a few fields is right."),
    "zero byte": (_raw('{"dataname": "a\\u0000b"}'), "submit.json: found text with a zero byte in it"),
    "half a character": (_raw('{"dataname": "\\ud800"}'), "a JSON document is right."),
    "long number": (_raw("1" * 10_000), "a JSON document is right."),
    "huge": (_raw(b" " * 300_000), "submit.json has 300,000 bytes; at most 262,144 are right."),
    "no data": (_asking(dataname=None), "dataname: it is missing; the key of a file or folder"),
    "data of no kind": (_asking(dataname=7), "dataname: found 7; the key of a file or folder, or a list"),
    "empty list": (_asking(dataname=[]), "dataname: found []; the key of a file or folder, or a list"),
    "list of numbers": (_asking(dataname=["a", 1]), 'dataname: found ["a", 1]; the key of a file or folder'),
    "no config": (_asking(configname=None), "configname: it is missing; the key of a .json or .yaml file is right"),
    "config of no kind": (_asking(configname={}), "configname: found {}; the key of a .json or .yaml file is right."),
    "time of no kind": (_asking(timestamp=[]), "timestamp: found []; a time in seconds, as 1622548800, is right."),
    "time that leads away": (_asking(timestamp="../../x"), 'timestamp: found "../../x"; a time in seconds'),
    "instance type of no kind": (_asking(instance_type=3), "instance_type: found 3; the name of an instance type"),
    "missing file": (_asking(dataname="lab/inputs/no.npy"), "dataname: lab/inputs/no.npy: there is no such file."),
    "missing folder": (_asking(dataname="lab/no/"), "dataname: lab/no/: there is no file in this folder."),
    "another group's data": (
        _asking(dataname="other/inputs/a.npy"),
        'dataname: found "other/inputs/a.npy"; a key below lab/, the group\'s own folder, is right.',
    ),
    "data of a name that begins so": (_asking(dataname="labs/inputs/a.npy"), "a key below lab/"),
    "traversal": (
        _asking(dataname="lab/../other/inputs/a.npy"),
        "dataname: found \"lab/../other/inputs/a.npy\". The name '..' can't be stored: it must name one file",
    ),
    "absolute": (_asking(dataname="/etc/passwd"), "dataname: found \"/etc/passwd\". The name '' can't be stored"),
    "config of another group": (_asking(configname="other/c.yaml"), 'configname: found "other/c.yaml"; a key below'),
    "foreign bucket": (
        _asking(dataname="s3://theirs/a.npy"),
        "the bucket 'theirs' is none that this site reads: one of fetching.allowed_buckets",
    ),
    "results in a foreign bucket": (_asking(resultpath="s3://theirs/x"), "is none that this site writes to"),
    "results among inputs": (_asking(resultpath="lab/inputs/x"), "a folder below lab/results/ is right."),
    "wrong kind": (_data("lab/inputs/a.doc", b"x"), "dataname: lab/inputs/a.doc is of kind .doc; a file of kind .npy"),
    "wrong content": (_data("lab/inputs/b.npy", b"x"), "is not what its name says: its contents are not those of"),
    "empty file": (_data("lab/inputs/b.npy", b""), "dataname: lab/inputs/b.npy is empty"),
    "folder without data": (
        _data("lab/inputs/F/a.md", b"x", named="lab/inputs/F/"),
        "dataname: lab/inputs/F/ is a folder without a file of kind .npy, .csv, .mp4 in it.",
    ),
    "missing config": (_asking(configname="lab/no.yaml"), "configname: lab/no.yaml: there is no such file."),
    "config of another kind": (_asking(configname="lab/inputs/a.npy"), "a file of kind .json, .yaml, .yml is right."),
    "broken YAML": (_config("a: ["), "configname: lab/configs/bad.yaml: line 1: it is not YAML"),
    "broken JSON": (_config("{", "lab/configs/bad.json"), "configname: lab/configs/bad.json: line 1: "),
    "config that is a list": (_config("- 1\n"), "found [1]; parameter names with values, as `components: 10`, are"),
    "config that is not text": (_config(b"a: \xff"), "byte 3 is not UTF-8 text; a YAML or JSON file is right."),
    "large config": (_config(b" " * (5 << 20)), "it is larger than 4 MiB; a config of a few lines is right."),
    "unknown parameter": (_config("componets: 3\n"), 'componets: no such parameter. Did you mean "components"?'),
    "wrong parameter": (_config("components: 0\n"), "config: components: found 0; a whole number at least 1 is right."),
    "wrong duration": (
        _config("__duration__: long\n"),
        '__duration__: found "long"; a whole number of minutes above 0 is right.',
    ),
    "no duration": (_config("__duration__: 0\n"), "__duration__: found 0; a whole number of minutes above 0 is right."),
    "true duration": (_config("__duration__: true\n"), "__duration__: found true; a whole number of minutes"),
    "longer than the analysis may": (_config("__duration__: 61\n"), "minutes: found 61; at most 60"),
    "wrong size": (_config("__dataset_size__: -1\n"), "__dataset_size__: found -1; a number of gigabytes is right."),
    "no size": (_config("__dataset_size__: .nan\n"), "__dataset_size__: found NaN; a number of gigabytes is right."),
}


@pytest.mark.parametrize("which", BAD)
def test_bad_input_is_told_in_a_sentence_and_ended(box: Dropped, which: str) -> None:
    write, sentence = BAD[which]
    write(box)
    assert box.look() == 1
    assert not box.jobs()
    (submission,) = box.submissions()
    certificate = box.certificate(submission.name)
    assert sentence in certificate
    assert "Nothing was started" in certificate
    assert "Traceback" not in certificate
    assert box.read(f"lab/results/{submission.name}/process_results/end.txt") == f"{submission.name}: REFUSED\n"
    assert submission.name.startswith("job__box_")
    assert box.look() == 0


def test_a_time_that_is_right_names_the_answer_even_if_nothing_else_is(box: Dropped) -> None:
    box.submit(timestamp=1622548800, dataname=None)
    box.submit("lab/submissions/2_submit.json", dataname=7)
    box.look()
    assert [one.name for one in box.submissions()] == ["job__box_1622548800", "job__box_1767225590"]


def test_all_that_is_wrong_is_told_at_once(box: Dropped) -> None:
    box.ordinary(dataname=["lab/inputs/a.npy", "lab/inputs/x.npy", "lab/inputs/y.npy"], configname="lab/z.json")
    box.look()
    assert box.submissions()[0].message.splitlines() == [
        "dataname: lab/inputs/x.npy: there is no such file.",
        "dataname: lab/inputs/y.npy: there is no such file.",
        "configname: lab/z.json: there is no such file.",
    ]


@pytest.mark.parametrize("group", ["nobody", "UPPER", "with space", "ünknown"])
def test_a_group_that_is_not_deployed_is_told_so_in_its_own_folder(box: Dropped, group: str) -> None:
    box.ordinary(f"{group}/submissions/1_submit.json")
    box.look()
    assert f"There is no group {group!r} on this site" in box.certificate(group=group)
    assert box.ended(group=group)


def test_a_group_that_may_not_use_the_analysis_is_told_no_more_than_that(box: Dropped) -> None:
    from neurocaas.server.jobs.models import Group

    Group.objects.filter(pk="lab").update(profile={"name": "lab", "analyses": ["pca"]})
    box.ordinary()
    box.look()
    assert "There is no analysis 'mean' that group lab may use." in box.certificate()
    assert box.ended()


def test_what_the_budget_does_not_allow_is_refused_with_what_is_left(box: Dropped) -> None:
    from decimal import Decimal

    box.world.cloud.price_per_hour = Decimal(2)
    from neurocaas.server.jobs.models import Group

    Group.objects.filter(pk="lab").update(profile={"name": "lab", "budget_dollars": "1"})
    box.ordinary()
    box.look()
    assert "budget" in box.certificate().lower()
    assert not box.jobs()
    assert box.ended()


def test_a_site_that_has_no_such_analysis_says_so(box: Dropped) -> None:
    import shutil

    box.ordinary()
    shutil.rmtree(box.world.repo.root / "analyses" / "mean")
    box.look()
    assert "There is no analysis" in box.certificate()
    assert box.ended()
