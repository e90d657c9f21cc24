"""People choose how they are told that a job has ended, and are told so, by real mail."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MailHandler

if TYPE_CHECKING:
    from support.website import Website


class Mails(MailHandler):
    """What a mail server received."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.received.append(message)


@pytest.fixture
def mails() -> Iterator[list[Any]]:
    """A real mail server, which the site sends by."""
    from django.test import override_settings

    handler = Mails()
    with socket.socket() as probe:  # the controller can't tell which port it was given
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    with override_settings(
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend", EMAIL_HOST="127.0.0.1", EMAIL_PORT=port
    ):
        yield handler.received
    controller.stop()


def verify(website: Website, name: str) -> None:
    from allauth.account.models import EmailAddress

    user = website.user(name)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)


def choose(website: Website, name: str = "ada", **asked: str) -> Any:
    return website.client(name).post("/profile/notifications", asked)


def test_who_signs_up_is_told_by_mail_when_a_job_ends_once(website: Website, mails: list[Any]) -> None:
    from neurocaas.server.accounts.enrolment import enrol
    from neurocaas.server.notifications.chores import tell

    verify(website, "ada")
    enrol(website.site, website.user("ada"))
    job = website.finish(website.job(), {"a.txt": b"a"})
    tell(website.site)
    tell(website.site)
    assert [mail["To"] for mail in mails] == ["ada@example.org"]
    assert job.id in mails[0]["Subject"]


def test_a_choice_is_not_undone_by_a_new_address(website: Website) -> None:
    from neurocaas.server.accounts.enrolment import enrol
    from neurocaas.server.notifications.models import Preference

    choose(website, channel="none")
    enrol(website.site, website.user("ada"))
    assert Preference.objects.get(pk="ada").channel == "none"


def test_a_test_message_is_sent_a_few_times_a_minute(
    website: Website, mails: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.server.api import throttles

    monkeypatch.setattr(throttles, "PERIOD_SECONDS", 10**9)  # or the next minute may begin meanwhile
    verify(website, "ada")
    choose(website, channel="email")
    assert [choose(website, action="test").status_code for _ in range(6)] == [302] * 5 + [429]
    assert len(mails) == 5
    assert "test message" in mails[0]["Subject"]


def test_without_a_verified_address_nothing_is_sent_and_the_page_says_why(website: Website, mails: list[Any]) -> None:
    client = website.client("bob")
    client.post("/profile/notifications", {"channel": "email"})
    page = client.post("/profile/notifications", {"action": "test"}, follow=True).content.decode()
    assert mails == []
    assert "no verified e-mail address" in page


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "https://127.0.0.1/hook"])
def test_a_wrong_webhook_is_told_at_its_field_and_nothing_is_kept(website: Website, url: str) -> None:
    from neurocaas.server.notifications.models import Preference

    answer = choose(website, channel="webhook", webhook=url)
    assert answer.status_code == 422
    assert 'id="id_webhook_error"' in answer.content.decode()
    assert not Preference.objects.exists()


def test_a_webhooks_secret_is_shown_once(website: Website) -> None:
    from neurocaas.server.notifications.models import Preference

    slack = "slack://TAAAAAAAA/BBBBBBBBB/" + "c" * 24
    answer = choose(website, channel="webhook", webhook=slack, only_failures="on")
    kept = Preference.objects.get(pk="ada")
    assert (kept.channel, kept.only_failures) == ("webhook", True)
    assert kept.secret in answer.content.decode()
    page = website.client("ada").get("/profile").content.decode()
    assert kept.secret not in page
    assert "c" * 24 not in page
    renewed = choose(website, action="secret").content.decode()
    assert kept.secret not in renewed
    assert re.search(Preference.objects.get(pk="ada").secret, renewed)


def test_an_empty_address_leaves_the_webhook_as_it_was(website: Website) -> None:
    from neurocaas.server.notifications.models import Preference

    slack = "slack://TAAAAAAAA/BBBBBBBBB/" + "c" * 24
    choose(website, channel="webhook", webhook=slack)
    secret = Preference.objects.get(pk="ada").secret
    assert choose(website, channel="webhook", webhook="", only_failures="on").status_code == 302
    assert (Preference.objects.get(pk="ada").target, Preference.objects.get(pk="ada").secret) == (slack, secret)
