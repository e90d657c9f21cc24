"""Whoever wants one gets one message per job, whatever breaks in between, and nobody gets two for nothing."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MailHandler

from neurocaas.errors import Refused
from neurocaas.server.notifications.choice import Choice
from neurocaas.server.notifications.webhook import SIGNATURE, signature
from support.elsewhere import LOOPBACK, Elsewhere, elsewhere, limits

NOW = datetime(2026, 1, 2, tzinfo=UTC)
WEBHOOK = Choice(channel="webhook", webhook="https://hook.test/secret")
EMAIL = Choice(channel="email")

pytestmark = pytest.mark.usefixtures("any_database")


class Mails(MailHandler):
    """What a mail server received."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.received.append(message)


class Post:
    """A mail server, a webhook's receiver, and an outbox that knows both."""

    def __init__(self, mails: Mails, smtp_port: int, receiver: Elsewhere) -> None:
        from neurocaas.server.notifications.outbox import Outbox

        self.mails = mails.received
        self.receiver = receiver
        self.known = {"ada": "ada@lab.test", "bob": "bob@lab.test"}
        self._smtp_port = smtp_port
        self.outbox = Outbox(
            site_url="https://lab.test",
            limits=limits(),
            send_mail=self._send_mail,
            addresses=self._addresses,
            network=receiver.network,
        )

    def chore(self, now: datetime = NOW) -> int:
        from neurocaas.server.notifications.outbox import chore

        return chore(self.outbox, now)

    def choose(self, user: str, choice: Choice, now: datetime = NOW - timedelta(days=1)) -> None:
        from neurocaas.server.notifications.outbox import choose

        choose(user, choice, limits=limits(), now=now, network=self.receiver.network)

    def stop_mail(self) -> None:
        self._smtp_port = 1

    def _send_mail(self, subject: str, body: str, to: str) -> None:
        from django.core.mail import EmailMessage
        from django.core.mail.backends.smtp import EmailBackend

        connection = EmailBackend(host=LOOPBACK, port=self._smtp_port, timeout=5)
        EmailMessage(subject, body, "site@lab.test", [to], connection=connection).send()

    def _addresses(self, users: Collection[str]) -> Mapping[str, str]:
        return {user: self.known[user] for user in users if user in self.known}


@pytest.fixture
def post() -> Iterator[Post]:
    from django.conf import settings

    settings.SECRET_KEY = "tests only"
    mails = Mails()
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    controller = Controller(mails, hostname=LOOPBACK, port=port)
    controller.start()
    try:
        with elsewhere("hook.test") as receiver:
            receiver.pages["*"] = lambda handler: handler.reply(200)
            yield Post(mails, port, receiver)
    finally:
        controller.stop()


def ended(name: str = "j", user: str = "ada", status: str = "succeeded", at: datetime = NOW, stacks: int = 2) -> None:
    """A job that has ended."""
    from neurocaas.server.jobs.models import Group, Job, Stack, Step

    group, _ = Group.objects.get_or_create(name="lab")
    job = Job.objects.create(
        id=name,
        group=group,
        user=user,
        analysis="pca",
        version="v" * 64,
        execution_digest="e" * 64,
        label="pca@0123456789ab",
        config={},
        seed=0,
        max_instances=1,
        status=status,
        submitted_at=at,
        ended_at=at,
    )
    step = Step.objects.create(job=job, index=0, name="pca")
    for index in range(stacks):
        reason = "OUT_OF_MEMORY" if status == "failed" else ""
        fields: dict[str, Any] = {"dataset": f"d{index}", "status": status, "reason": reason, "ended_at": at}
        Stack.objects.create(
            job=job, step=step, index=index, folder="f", inputs=[], config={}, seed=0, need={}, **fields
        )


def states() -> dict[str, str]:
    from neurocaas.server.notifications.models import Message

    return dict(Message.objects.values_list("job_id", "state"))


def test_a_job_that_ended_is_told_once_by_mail(post: Post) -> None:
    post.choose("ada", EMAIL)
    ended(status="failed")
    assert [post.chore(), post.chore(), post.chore(NOW + timedelta(minutes=9))] == [1, 0, 0]
    (mail,) = post.mails
    assert mail["To"] == "ada@lab.test"
    assert mail["Subject"] == "pca@0123456789ab: job j failed"
    text = mail.get_payload(decode=True).decode()
    assert "2 failed" in text
    assert "Use a smaller dataset" in text
    assert "https://lab.test/jobs/j" in text


def test_a_job_that_ended_is_told_once_to_a_webhook_with_the_users_own_signature(post: Post) -> None:
    from neurocaas.server.notifications.models import Preference

    post.choose("ada", WEBHOOK)
    ended()
    assert [post.chore(), post.chore()] == [1, 0]
    ((_, path, headers, body),) = post.receiver.asked
    assert path == "/secret"
    assert json.loads(body)["url"] == "https://lab.test/jobs/j"
    assert headers[SIGNATURE] == signature(Preference.objects.get(pk="ada").secret, body)


def test_only_those_who_want_it_are_told_and_only_of_what_they_want(post: Post) -> None:
    post.choose("ada", Choice(channel="email", only_failures=True))
    post.choose("bob", EMAIL)
    post.choose("eve", Choice())
    for user in ("ada", "bob", "eve", "mia"):
        for status in ("succeeded", "failed", "cancelled"):
            ended(f"{user}-{status}", user, status)
    ended("ada-running", "ada", "running")
    from neurocaas.server.jobs.models import Job

    Job.objects.filter(pk="ada-running").update(ended_at=None)
    assert post.chore() == 4
    assert set(states()) == {"ada-failed", "bob-succeeded", "bob-failed", "bob-cancelled"}


def test_whoever_turns_messages_on_is_not_told_of_what_ended_before(post: Post) -> None:
    ended("before", at=NOW - timedelta(minutes=5))
    post.choose("ada", EMAIL, NOW)
    ended("after", at=NOW + timedelta(seconds=1))
    post.chore(NOW + timedelta(minutes=1))
    assert set(states()) == {"after"}


def test_changing_the_channel_misses_nothing(post: Post) -> None:
    post.choose("ada", EMAIL)
    ended(at=NOW)
    post.choose("ada", WEBHOOK, NOW + timedelta(seconds=1))
    assert post.chore(NOW + timedelta(minutes=1)) == 1
    assert len(post.receiver.asked) == 1


def test_a_job_whose_end_is_committed_late_is_still_told_of(post: Post) -> None:
    post.choose("ada", EMAIL)
    post.chore(NOW)
    ended("late", at=NOW - timedelta(minutes=20))
    assert post.chore(NOW + timedelta(minutes=1)) == 1


def test_a_long_pause_of_housekeeping_loses_nothing(post: Post) -> None:
    post.choose("ada", EMAIL)
    post.chore(NOW)
    ended("while-away", at=NOW + timedelta(days=3))
    assert post.chore(NOW + timedelta(days=30)) == 1


def test_a_new_site_is_not_flooded_with_old_jobs(post: Post) -> None:
    post.choose("ada", EMAIL, NOW - timedelta(days=99))
    ended("old", at=NOW - timedelta(days=30))
    assert post.chore() == 0


def test_a_failing_receiver_is_tried_five_times_ever_more_rarely(post: Post) -> None:
    from neurocaas.server.notifications.models import Message

    post.receiver.pages["*"] = lambda handler: handler.reply(503)
    post.choose("ada", WEBHOOK)
    ended()
    pauses = []
    now = NOW
    while states().get("j", "waiting") == "waiting":
        post.chore(now)
        one = Message.objects.get()
        pauses.append((one.next_at - now) / timedelta(minutes=1))
        now = one.next_at
    assert len(post.receiver.asked) == 5
    assert pauses[:4] == [1, 4, 16, 64]
    assert (one.state, one.why) == ("failed", "hook.test answered with HTTP 503")
    assert post.chore(now + timedelta(days=9)) == 0


def test_a_mail_server_that_comes_back_delivers(post: Post) -> None:
    post.choose("ada", EMAIL)
    ended()
    port = post._smtp_port
    post.stop_mail()
    assert post.chore() == 0
    assert states() == {"j": "waiting"}
    post._smtp_port = port
    assert post.chore(NOW + timedelta(minutes=2)) == 1


def test_a_user_without_an_address_is_not_tried_again(post: Post) -> None:
    post.choose("mia", EMAIL)
    ended(user="mia")
    post.chore()
    assert states() == {"j": "failed"}


def test_a_sender_that_dies_loses_no_message(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurocaas.server.notifications import outbox

    post.choose("ada", EMAIL)
    ended()
    with monkeypatch.context() as patch:

        def die(*_: object, **__: object) -> None:
            raise SystemExit

        patch.setattr(outbox, "send", die)
        with pytest.raises(SystemExit):
            post.chore()
    assert post.chore(NOW + timedelta(minutes=1)) == 0
    assert post.chore(NOW + outbox.CLAIM) == 1


def test_two_senders_at_once_send_one_message(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one runs while the first is sending."""
    from neurocaas.server.notifications import outbox

    post.choose("ada", WEBHOOK)
    ended()
    counts: list[int] = []
    real = outbox.send

    def send_and_let_another_in(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(outbox, "send", real)
        counts.append(post.chore())
        return real(*arguments, **named)

    monkeypatch.setattr(outbox, "send", send_and_let_another_in)
    assert post.chore() == 1
    assert counts == [0]
    assert len(post.receiver.asked) == 1


def test_a_message_that_breaks_the_sender_holds_up_no_other(
    post: Post, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from neurocaas.server.notifications import outbox

    real = outbox.description
    monkeypatch.setattr(outbox, "description", lambda job: {} if job.pk == "bad" else real(job))
    post.choose("ada", EMAIL)
    ended("bad", at=NOW - timedelta(minutes=1))
    ended("good")
    assert post.chore() == 1
    assert states() == {"bad": "waiting", "good": "sent"}
    assert "job bad" in caplog.text


def test_a_webhook_that_leads_inside_is_refused_when_chosen(post: Post) -> None:
    from neurocaas.server.notifications.models import Preference

    with pytest.raises(Refused):
        post.choose("ada", Choice(channel="webhook", webhook="https://10.0.0.1/x"))
    assert not Preference.objects.exists()


def test_a_webhooks_secret_is_in_no_log(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    post.choose("ada", WEBHOOK)
    post.receiver.pages["*"] = lambda handler: handler.reply(404)
    ended()
    post.chore()
    assert "no message about job j" in caplog.text
    lines = [one.getMessage() for one in caplog.records if not one.name.startswith("django.db")]
    assert "secret" not in "\n".join(lines)


def test_the_number_of_queries_of_a_look_does_not_grow(post: Post) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from neurocaas.server.notifications.outbox import collect

    post.choose("ada", EMAIL)
    counts = []
    for round_ in range(3):
        for index in range(1 + round_ * 10):
            ended(f"{round_}-{index}", stacks=0, at=NOW + timedelta(minutes=round_))
        with CaptureQueriesContext(connection) as queries:
            assert collect(NOW + timedelta(minutes=round_)) == 1 + round_ * 10
        counts.append(len(queries))
    assert counts[1] == counts[2] <= counts[0] <= 9
