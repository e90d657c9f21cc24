"""Drop-boxes are looked after where a site is served, and by a command where it is not; never by two at once."""

from __future__ import annotations

import fcntl
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.bell import Bell
from neurocaas.errors import NotNow, Refused
from neurocaas.server.chores import bell_path

if TYPE_CHECKING:
    from neurocaas.server.site import Site
    from support.dropbox import Dropped


def _site(box: Dropped, **settings: Any) -> Site:
    from neurocaas.server.site import Site

    document = box.world.settings.site.model_copy(update=settings)
    return Site(box.world.settings.model_copy(update={"site": document}))


def test_a_served_site_does_both_chores(sqlite_database: str) -> None:
    from neurocaas.server.serving.housekeeping import found_chores

    assert {"dropbox", "dropbox-answers"} <= {one.name for one in found_chores()}


@pytest.mark.parametrize("boxes", [{}, {"mean": "file:///box"}])
def test_a_change_of_a_job_is_answered_at_once_where_there_are_drop_boxes(box: Dropped, boxes: dict[str, str]) -> None:
    from neurocaas.server.jobs.followers import CHANGED, Followers

    settings = _site(box, dropboxes=boxes).settings
    bell = Bell(bell_path(settings))
    try:
        Followers(settings).tell("20260101-abc", CHANGED)
        assert bell.drain() == ["dropbox-answers"] * bool(boxes)
    finally:
        bell.close()


def test_a_job_whose_watcher_died_before_it_rang_is_rung_for_again(box: Dropped) -> None:
    box.ordinary()
    box.look()
    box.look()
    assert box.wakes == ["manager"] * 2
    box.run()
    box.look()
    assert box.wakes == ["manager"] * 2


def test_chores_of_a_site_without_drop_boxes_are_nothing(box: Dropped) -> None:
    from neurocaas.server.dropbox.chores import CHORES

    for chore in CHORES:
        chore.work(_site(box))


def test_two_never_look_after_them_at_once(box: Dropped, tmp_path: Path) -> None:
    from neurocaas.server.dropbox.watching import look_once

    site = _site(box, dropboxes={"mean": (tmp_path / "nothing").as_uri()})
    assert look_once(site) == (0, 0)
    with (site.settings.run / "housekeeping.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(NotNow, match="Another process looks after the drop-boxes already"):
            look_once(site)
    with pytest.raises(Refused, match=r"dropboxes: found none in site\.json"):
        look_once(_site(box))


def test_nobody_signs_up_as_the_user_of_drop_boxes(sqlite_database: str) -> None:
    from allauth.account.adapter import get_adapter
    from django.core.exceptions import ValidationError

    with pytest.raises(ValidationError):
        get_adapter().clean_username("dropbox")


def test_messages_of_the_stacks_queue_have_the_boxes_looked_at_and_are_deleted(
    box: Dropped, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.bank.aws.account import Account
    from neurocaas.bank.aws.messages import each_message
    from neurocaas.bank.aws.stack import DeployedStack
    from neurocaas.server.dropbox import hints
    from neurocaas.settings import AwsSettings

    client = Account("us-east-1").client("sqs")
    url = client.create_queue(QueueName="submissions")["QueueUrl"]
    detail = {"bucket": {"name": "drops"}, "object": {"key": "lab/submissions/1_submit.json"}}
    event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
    for body in (json.dumps(event), "no JSON", "[]"):
        client.send_message(QueueUrl=url, MessageBody=body)
    woken: list[str] = []
    monkeypatch.setattr(hints, "wake", lambda _settings, name: woken.append(name))
    monkeypatch.setattr(hints, "POLLS", 2)
    monkeypatch.setattr(hints, "each_message", partial(each_message, wait_seconds=0))
    stack = DeployedStack(name="neurocaas", outputs={"SubmissionsQueueUrl": url})
    monkeypatch.setattr(hints, "read_stack", lambda _account, _name: stack)
    hints.listen(_site(box, aws=AwsSettings(), dropboxes={"mean": "s3://drops"}))
    assert woken == ["dropbox"]
    left = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")
