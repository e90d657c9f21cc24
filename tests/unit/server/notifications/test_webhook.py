"""Webhooks reach public servers and known services, signed, and never tell what makes them secret."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurocaas.errors import NeurocaasError
from neurocaas.server.fetching import Network
from neurocaas.server.notifications.message import Message
from neurocaas.server.notifications.webhook import SIGNATURE, masked, post, signature, validate_webhook
from support.elsewhere import LOOPBACK, Elsewhere, authority, elsewhere, limits, trusting

MESSAGE = Message(title="pca: job j failed", body="Stacks: 1 failed.\n", facts={"event": "job.ended", "job": "j"})
SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
ACCEPTED = [
    (SLACK, "Slack"),
    ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "Slack"),
    ("https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "Discord"),
    ("https://chat.googleapis.com/v1/spaces/AAAA/messages?key=secret&token=secret&verify=no", "Google Chat"),
    ("tgram://123456789:abcdefg_hijklmnop/12315544/", "Telegram"),
    ("https://hook.test/secret", "hook.test"),
    ("jsons://hook.test/secret", "hook.test"),
    ("mmosts://hook.test/secret", "hook.test"),
    ("ntfys://hook.test/secret", "hook.test"),
]


@pytest.fixture
def receiver() -> Iterator[Elsewhere]:
    with elsewhere("hook.test") as one:
        one.pages["*"] = lambda handler: handler.reply(204)
        yield one


@pytest.mark.parametrize(("url", "where"), ACCEPTED)
def test_known_services_and_public_servers_are_accepted(receiver: Elsewhere, url: str, where: str) -> None:
    assert validate_webhook(url, limits=limits(), network=receiver.network) == where


@pytest.mark.parametrize(
    "url",
    [
        *("", "hook", "http://hook.test/x", "json://hook.test/x", "mmost://hook.test/x", "ntfy://hook.test/x"),
        *("file:///etc/passwd", "mailto://a:b@c.test", "syslog://", "exec://x", "dbus://", "ntfys://hook.test/"),
        *("https://127.0.0.1/x", "https://169.254.169.254/", "jsons://10.0.0.1/x", "mmosts://[::ffff:10.0.0.1]/x"),
        *("https://me:secret@hook.test/x", "https://hook.test:22/x", "https://nowhere.test/x", "https://a b/"),
        *("mmosts://hook.test", "slack://", "https://" + "a" * 9000),
    ],
)
def test_nothing_else_is(receiver: Elsewhere, url: str) -> None:
    forbidding = limits(allow_private=[])
    with pytest.raises(NeurocaasError) as fault:
        validate_webhook(url, limits=forbidding, network=receiver.network)
    assert fault.value.http_status in {404, 422}
    delivered, again, _ = post(url, MESSAGE, secret="s", limits=forbidding, network=receiver.network)
    assert not delivered
    assert not again or fault.value.http_status == 404
    assert receiver.asked == []


def test_a_message_arrives_signed(receiver: Elsewhere) -> None:
    assert post("https://hook.test/x?y=1", MESSAGE, secret="s", limits=limits(), network=receiver.network)[0]
    method, path, headers, body = receiver.asked[0]
    assert (method, path) == ("POST", "/x?y=1")
    assert headers[SIGNATURE] == signature("s", body)
    assert headers[SIGNATURE] != signature("other", body)
    assert json.loads(body) == {
        "title": MESSAGE.title,
        "text": f"{MESSAGE.title}\n{MESSAGE.body}",
        "event": "job.ended",
        "job": "j",
    }


@pytest.mark.parametrize(
    ("url", "path", "body"),
    [
        ("mmosts://hook.test/secret", "/hooks/secret", {"text": f"{MESSAGE.title}\n{MESSAGE.body}"}),
        ("ntfys://hook.test/top", "/", {"topic": "top", "title": MESSAGE.title, "message": MESSAGE.body}),
    ],
)
def test_a_service_on_a_server_of_ones_own_gets_its_form(
    receiver: Elsewhere, url: str, path: str, body: dict[str, str]
) -> None:
    assert post(url, MESSAGE, secret="s", limits=limits(), network=receiver.network)[0]
    assert receiver.asked[0][1] == path
    assert json.loads(receiver.asked[0][3]) == body


@pytest.mark.parametrize(("status", "again"), [(500, True), (429, True), (404, False), (410, False), (302, False)])
def test_a_receiver_that_fails_is_asked_again_and_one_that_refuses_is_not(
    receiver: Elsewhere, status: int, again: bool
) -> None:
    receiver.pages["*"] = lambda handler: handler.reply(status, Location="https://hook.test/elsewhere")
    found = post("https://hook.test/x", MESSAGE, secret="s", limits=limits(), network=receiver.network)
    assert found == (False, again, f"hook.test answered with HTTP {status}")
    assert len(receiver.asked) == 1


def test_a_receiver_whose_name_now_leads_inside_gets_nothing(receiver: Elsewhere) -> None:
    network = Network(resolve=lambda host, port: [("10.0.0.1", port)], tls=trusting())
    delivered, again, why = post("https://hook.test/x", MESSAGE, secret="s", limits=limits(), network=network)
    assert (delivered, again) == (False, False)
    assert "not a public address" in why


def test_a_silent_receiver_is_not_waited_for() -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        port = silent.getsockname()[1]
        network = Network(resolve=lambda host, _: [(LOOPBACK, port)], tls=trusting())
        impatient = limits(read_seconds=0.1, connect_seconds=0.1)
        found = post("https://hook.test/x", MESSAGE, secret="s", limits=impatient, network=network)
    assert found[:2] == (False, True)


@contextlib.contextmanager
def _proxy(to: int) -> Iterator[int]:
    """A proxy that leads every CONNECT to one port of the loopback."""
    listening = socket.create_server((LOOPBACK, 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                target.sendall(block)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client, socket.create_connection((LOOPBACK, to)) as server:
                    while b"\r\n\r\n" not in client.recv(65536):
                        pass
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    back = threading.Thread(target=pump, args=(server, client), daemon=True)
                    back.start()
                    pump(client, server)
                    back.join()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


@pytest.mark.parametrize("status", [200, 500])
def test_slack_gets_its_form_and_its_secret_stays_out_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """The real library to a stand-in, to which a proxy leads; its whole log is read."""
    caplog.set_level(logging.DEBUG)
    authority().cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with elsewhere("hooks.slack.com") as slack, _proxy(slack.port) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{port}")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        slack.pages["*"] = lambda handler: handler.reply(status, b"ok")
        (tmp_path / "passwords.json").write_text('{"text": "a file of this machine"}')
        url = f"{SLACK}?verify=no&rto=900&template={tmp_path / 'passwords.json'}"
        delivered, again, why = post(url, MESSAGE, secret="s", limits=limits())
    assert (delivered, again) == (status == 200, status != 200)
    assert slack.asked[0][1] == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert "Stacks: 1 failed." in slack.asked[0][3].decode()
    assert "a file of this machine" not in slack.asked[0][3].decode()
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in caplog.text + why


@pytest.mark.parametrize(("url", "where"), ACCEPTED)
def test_an_address_is_shown_without_its_secret(url: str, where: str) -> None:
    shown = masked(url)
    for part in ("secret", "TIiajkdnlazkcOXrIdevi7FQ", "JHMHI8qBe7bk2ZwO5U711o3dV_js", "abcdefg", "123456789"):
        assert part not in shown
