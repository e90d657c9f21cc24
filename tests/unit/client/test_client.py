"""The client against a site that speaks the contract over real HTTP, and fails in the ways that networks do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurocaas.client import Client
from neurocaas.client import client as module
from neurocaas.client.connection import site_url
from neurocaas.client.events import events
from neurocaas.errors import Altered, NotFound, Refused, Unavailable
from support.remote_site import PART_BYTES, TOKEN, RemoteSite, job, remote_site

RUNNING = "20260101-00000001"


@pytest.fixture
def site() -> Iterator[RemoteSite]:
    with remote_site() as made:
        yield made


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(site: RemoteSite, pauses: list[float], tmp_path: Path) -> Iterator[Client]:
    with Client(site.url, TOKEN, "lab", state=tmp_path / "state", pause=pauses.append) as made:
        yield made


def _file(tmp_path: Path, size: int = 3 << 20, name: str = "movie.tif") -> Path:
    path = tmp_path / name
    path.write_bytes(os.urandom(size))
    return path


def test_the_group_and_the_token_go_along_and_a_newer_site_may_say_more(site: RemoteSite, client: Client) -> None:
    assert client.me().user == "ada"
    assert site.headers[0]["X-NeuroCAAS-Group"] == "lab"


def test_a_busy_site_is_asked_again_after_as_long_as_it_says(
    site: RemoteSite, client: Client, pauses: list[float]
) -> None:
    site.faults["busy"] = 2
    assert client.me().user == "ada"
    assert pauses == [7.0, 7.0]


def test_a_site_that_stays_busy_is_unavailable_in_its_own_words(site: RemoteSite, client: Client) -> None:
    site.faults["busy"] = 100
    with pytest.raises(Unavailable, match="The site is busy"):
        client.me()


def test_problems_are_the_errors_that_they_were(site: RemoteSite, client: Client) -> None:
    with pytest.raises(NotFound, match=r"There is no items/none\.") as caught:
        client.item("none")
    assert caught.value.remedy == "Look at the list."
    site.faults["no budget"] = 1
    with pytest.raises(Refused) as refused:
        client.submit("copy", ["i0"])
    assert refused.value.message == "budget: it is spent.\nminutes: too many."


def test_a_wrong_token_is_refused_and_never_shown(site: RemoteSite, tmp_path: Path) -> None:
    wrong = Client(site.url, "ncs_wrong-token", state=tmp_path)
    with wrong, pytest.raises(Refused) as caught:
        wrong.me()
    assert "wrong-token" not in f"{caught.value} {caught.value!r} {wrong!r} {vars(wrong)}"
    with pytest.raises(Refused, match="characters that no token has"):
        Client(site.url, "two\nlines")


def test_a_site_that_is_not_there_is_unavailable(tmp_path: Path, pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}", TOKEN, state=tmp_path, pause=pauses.append) as client,
        pytest.raises(Unavailable, match=rf"http://127\.0\.0\.1:{port} can't be reached") as caught,
    ):
        client.submit("copy", ["i0"])
    assert TOKEN not in str(caught.value)
    assert len(pauses) == 5


@pytest.mark.parametrize("text", ["neurocaas.org", "ftp://a", "https://", "https://a:b@c", "https://a?b", ""])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="an address such as"):
        site_url(text)


def test_a_file_arrives_whole_and_is_told_of_as_it_goes(site: RemoteSite, client: Client, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = _file(tmp_path)
    (item,) = client.upload([path], tags=["v1"], progress=lambda _, sent, whole: told.append((sent, whole)))
    assert (item.name, item.size_bytes, item.tags) == ("movie.tif", 3 << 20, ("v1",))
    assert bytes(site.uploads["u0"]["files"][0]["data"]) == path.read_bytes()
    assert told[-1] == (3 << 20, 3 << 20)


def test_known_content_is_not_sent_again(site: RemoteSite, client: Client, tmp_path: Path) -> None:
    path = _file(tmp_path)
    first, again = client.upload([path, path])
    assert first == again
    assert site.received == path.stat().st_size


def test_an_upload_that_breaks_off_goes_on_where_the_site_has_it(
    site: RemoteSite, client: Client, tmp_path: Path
) -> None:
    site.faults["drop"] = 8  # more often than patience would bear without progress
    path = _file(tmp_path)
    client.upload([path])
    assert bytes(site.uploads["u0"]["files"][0]["data"]) == path.read_bytes()
    assert site.received == path.stat().st_size


def test_a_killed_client_goes_on_with_its_upload(site: RemoteSite, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def die(_: float) -> None:
        raise Killed

    path = _file(tmp_path)
    site.faults["drop"] = 1
    with Client(site.url, TOKEN, state=tmp_path / "state", pause=die) as client, pytest.raises(Killed):
        client.upload([path])
    assert 0 < site.received < path.stat().st_size
    with Client(site.url, TOKEN, state=tmp_path / "state") as client:
        client.upload([path])
    assert site.received == path.stat().st_size
    assert list(site.uploads) == ["u0"]


def test_a_changed_file_begins_anew(site: RemoteSite, client: Client, tmp_path: Path) -> None:
    path = _file(tmp_path)
    client.upload([path])
    path.write_bytes(b"other")
    (item,) = client.upload([path])
    assert item.size_bytes == 5
    assert len(site.uploads) == 2


def test_a_digest_that_the_site_finds_wrong_ends_the_upload(site: RemoteSite, client: Client, tmp_path: Path) -> None:
    site.faults["wrong digest"] = 1
    path = _file(tmp_path)
    with pytest.raises(Refused, match="not what the sender said"):
        client.upload([path])
    client.upload([path])
    assert len(site.uploads) == 2


def test_what_the_site_still_lacks_is_sent_and_its_check_awaited(
    site: RemoteSite, client: Client, tmp_path: Path
) -> None:
    site.faults.update({"missing": 1, "still checking": 2})
    client.upload([_file(tmp_path)])
    assert site.received == 2 * (3 << 20)


def test_a_folder_arrives_with_its_files(site: RemoteSite, client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "session"
    (folder / "sub").mkdir(parents=True)
    _file(folder, 10, "a.txt")
    _file(folder / "sub", 0, "empty.txt")
    (item,) = client.upload([folder])
    assert (item.form, item.name) == ("folder", "session")
    assert [one["path"] for one in site.uploads["u0"]["files"]] == ["a.txt", "sub/empty.txt"]
    (folder / "link").symlink_to("a.txt")
    with pytest.raises(Refused, match="is a link or a device"):
        client.upload([folder])
    with pytest.raises(NotFound, match="there is no such file"):
        client.upload([tmp_path / "none"])


def test_parts_go_straight_to_s3_without_the_token(pauses: list[float], tmp_path: Path) -> None:
    with remote_site("s3") as site:
        site.faults["drop"] = 2
        path = _file(tmp_path, 5 * PART_BYTES + 17)
        with Client(site.url.replace("127.0.0.1", "localhost"), TOKEN, state=tmp_path / "s", pause=pauses.append) as it:
            it.upload([path])
        parts = site.uploads["u0"]["files"][0]["parts"]
        assert b"".join(parts[number] for number in sorted(parts)) == path.read_bytes()
        direct = [one for one, (_, at) in zip(site.headers, site.asked, strict=True) if at.startswith("/s3/")]
        assert len(direct) == 8
        assert not any("Authorization" in one for one in direct)


def test_all_pages_of_a_list_are_read(client: Client, tmp_path: Path) -> None:
    client.upload([_file(tmp_path, 10, f"{index}.txt") for index in range(3)])
    assert [one.name for one in client.items()] == ["0.txt", "1.txt", "2.txt"]


def test_a_job_is_submitted_once_when_the_answer_is_lost(site: RemoteSite, client: Client) -> None:
    site.faults["hang up after submitting"] = 2
    assert client.submit("copy", ["i0"], config={"size": 3}, seed=2).status == "waiting"
    assert len(site.jobs) == 1
    with pytest.raises(Refused, match="this key is not known"):
        client.submit("copy", ["i0"], sead=2)


def test_following_survives_a_stream_that_breaks_off(site: RemoteSite, client: Client) -> None:
    site.jobs[RUNNING] = job(RUNNING)
    site.faults["stream breaks off"] = 3
    assert [one.status for one in client.follow(RUNNING)][-1] == "succeeded"
    assert site.count("GET", "/events") == 4
    followed = [one for one, (_, at) in zip(site.headers, site.asked, strict=True) if at.endswith("/events")]
    assert [one.get("Last-Event-ID") for one in followed] == [None, "4", "4", "4"]
    assert client.wait(RUNNING).status == "succeeded"


def test_an_event_that_breaks_off_is_none() -> None:
    lines = ["event: a", "data: 1", "data: 2", "", ": alive", "", "id: 7", "data: 3", "", "data: 4"]
    assert [(one.name, one.data, one.id) for one in events(lines)] == [("a", "1\n2", ""), ("message", "3", "7")]


def test_a_log_is_followed_to_its_end(client: Client, pauses: list[float]) -> None:
    assert "".join(client.follow_log(RUNNING, 0)) == "one\ntwo\n"
    assert pauses == [module.LOOK_SECONDS]


def _results(site: RemoteSite) -> None:
    site.results = {
        "d000/copy.txt": b"dataset 0\n",
        "d000/log.txt": b"done\n",
        "d000/figure.png": b"png",
        "certificate.json": b'{"stacks": [{"folder": "d000"}]}',
    }


def test_results_are_fetched_once_and_checked(site: RemoteSite, client: Client, tmp_path: Path) -> None:
    _results(site)
    out = tmp_path / "out"
    fetched = client.results(RUNNING, out)
    assert (fetched.files, fetched.figures) == (2, (out / "d000" / "figure.png",))
    assert (out / "d000" / "copy.txt").read_bytes() == b"dataset 0\n"
    (out / "d000" / "figure.png").write_bytes(b"gnp")
    client.results(RUNNING, out)
    assert (out / "d000" / "figure.png").read_bytes() == b"png"
    assert site.count("GET", "/files/d000/copy.txt") == 1
    assert site.count("GET", "/files/d000/figure.png") == 2
    assert sorted(one.name for one in out.iterdir()) == ["certificate.json", "d000"]


def test_damaged_results_are_asked_for_again_and_then_refused(site: RemoteSite, client: Client, tmp_path: Path) -> None:
    site.results = {"d000/copy.txt": b"dataset 0\n"}
    site.faults["damage"] = 2
    client.results(RUNNING, tmp_path / "out")
    site.results = {"d000/copy.txt": b"dataset 1\n"}
    site.faults["damage"] = 3
    with pytest.raises(Altered, match=r"copy\.txt arrived with the digest"):
        client.results(RUNNING, tmp_path / "out")
    assert [one.name for one in (tmp_path / "out" / "d000").iterdir()] == ["copy.txt"]


def test_results_replace_those_of_an_earlier_job_and_nothing_else_is_touched(
    site: RemoteSite, client: Client, tmp_path: Path
) -> None:
    _results(site)
    client.results(RUNNING, tmp_path / "out")
    site.results = {"d001/copy.txt": b"dataset 1\n", "certificate.json": b'{"stacks": [{"folder": "d001"}]}'}
    client.results(RUNNING, tmp_path / "out")
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["certificate.json", "d001"]
    (tmp_path / "mine").mkdir()
    _file(tmp_path / "mine", 1)
    with pytest.raises(Refused, match="holds other files"):
        client.results(RUNNING, tmp_path / "mine")


@pytest.mark.parametrize("path", ["../escape.txt", "/etc/escape", "a/../../b"])
def test_a_path_that_leaves_the_folder_is_refused(site: RemoteSite, client: Client, tmp_path: Path, path: str) -> None:
    site.results = {path: b"x"}
    with pytest.raises(Refused, match="can't be stored"):
        client.results(RUNNING, tmp_path / "out")
    assert not (tmp_path / "out").exists()
