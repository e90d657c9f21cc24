"""How allauth fits this site: who may sign up, which user ids there are, and when a group is joined."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed, user_signed_up
from django.core.exceptions import ValidationError
from django.dispatch import receiver
from django.http import HttpRequest

from neurocaas.blueprint.access import USER_ID
from neurocaas.server.accounts.enrolment import enrol
from neurocaas.server.accounts.models import User
from neurocaas.server.serving.wiring import this_site


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Sign-up as `site.json` has it (`web.sign_up`), and user ids as documents can bear them."""

    error_messages: ClassVar[dict[str, Any]] = DefaultAccountAdapter.error_messages | {
        "username_taken": "This user id is taken; another one is right.",
        "username_password_mismatch": "The user id, the address or the password is not right.",
        "email_password_mismatch": "The user id, the address or the password is not right.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002 (allauth's interface)
        return this_site().settings.site.web.sign_up != "closed"

    def clean_username(self, username: str, shallow: bool = False) -> str:
        username = username.lower()
        if not re.fullmatch(USER_ID, username):
            raise ValidationError("Small letters, digits, and . _ - after the first, are right, as in j.smith.")
        return str(super().clean_username(username, shallow))

    def generate_unique_username(self, txts: list[str | None], regex: str | None = None) -> str:
        return str(super().generate_unique_username([_plain(one) for one in txts], regex))


def _plain(text: str | None) -> str:
    return re.sub(r"[^a-z0-9._-]", "", (text or "").lower()).lstrip("._-")[:40]


@receiver(email_confirmed)
def _address_verified(email_address: EmailAddress, **_: Any) -> None:
    enrol(this_site(), email_address.user)


@receiver(user_signed_up)
def _signed_up(user: User, **_: Any) -> None:
    """Somebody whose address an identity provider vouches for has nothing more to verify."""
    if EmailAddress.objects.filter(user=user, verified=True).exists():
        enrol(this_site(), user)
