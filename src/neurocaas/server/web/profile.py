"""A user's own page: who they are here, and how they are told that a job has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from neurocaas.errors import NeurocaasError
from neurocaas.server.accounts.models import AuditEntry, User
from neurocaas.server.api.throttles import TESTING
from neurocaas.server.groups.scope import Caller
from neurocaas.server.notifications import chores, outbox
from neurocaas.server.notifications.choice import Choice
from neurocaas.server.notifications.message import Message
from neurocaas.server.notifications.models import Preference, new_secret
from neurocaas.server.notifications.sending import send
from neurocaas.server.notifications.webhook import SIGNATURE, masked
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.pages import page
from neurocaas.server.web.throttling import throttled

ENTRIES = 10
CHANNELS = (("none", "Not at all"), ("email", "By e-mail"), ("webhook", "By webhook"))


class NotificationsForm(forms.Form):
    """How, and of what. An empty address of a webhook means the one that was given before."""

    channel = forms.ChoiceField(label="When a job ends, tell me", choices=CHANNELS, widget=forms.RadioSelect)
    webhook = forms.CharField(
        label="Webhook",
        max_length=2000,
        required=False,
        help_text="An https:// address, or ntfys://, mmosts://, slack://, discord://, tgram://, gchat://, pover://.",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false"}),
    )
    only_failures = forms.BooleanField(label="Only of jobs that failed", required=False)


@page
def profile(request: HttpRequest, caller: Caller) -> HttpResponse:
    """User id, address, groups, second factor, and what happened to the account lately."""
    return _profile(request, caller)


@never_cache
@require_POST
@page
def notifications(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Keep the choice; or send a test message by the one that is kept; or make a new secret, shown in the answer."""
    match request.POST.get("action", ""):
        case "test":
            return _test(request, caller)
        case "secret":
            return _profile(request, caller, secret=_renewed(caller))
    form = NotificationsForm(request.POST)
    before = Preference.objects.filter(pk=caller.user).first()
    if form.is_valid():
        asked = form.cleaned_data
        kept = before.target if before else ""
        choice = Choice(
            channel=asked["channel"], webhook=asked["webhook"].strip() or kept, only_failures=asked["only_failures"]
        )
        try:
            outbox.choose(caller.user, choice, limits=this_site().settings.site.fetching, now=datetime.now(UTC))
        except NeurocaasError as fault:
            form.add_error("webhook", str(fault))
        else:
            messages.success(request, "Your choice is kept.")
            if choice.channel == "webhook" and choice.webhook != kept:
                return _profile(request, caller, secret=_renewed(caller))
            return redirect("profile")
    return _profile(request, caller, form=form, status=422)


def _profile(
    request: HttpRequest,
    caller: Caller,
    *,
    form: NotificationsForm | None = None,
    secret: str = "",
    status: int = 200,
) -> HttpResponse:
    preference = Preference.objects.filter(pk=caller.user).first()
    context: dict[str, Any] = {
        "user": User.objects.get(username=caller.user),
        "roles": sorted(caller.roles.items()),
        "entries": AuditEntry.objects.filter(user=caller.user).order_by("-at")[:ENTRIES],
        "notifications": form or _form(preference),
        "preference": preference,
        "webhook": masked(preference.target) if preference and preference.target else "",
        "address": chores.addresses([caller.user]).get(caller.user, ""),
        "secret": secret,
        "signature": SIGNATURE,
    }
    return render(request, "web/profile.html", context, status=status)


def _form(preference: Preference | None) -> NotificationsForm:
    choice = preference.choice if preference else Choice()
    return NotificationsForm(initial={"channel": choice.channel, "only_failures": choice.only_failures})


def _renewed(caller: Caller) -> str:
    secret = new_secret()
    Preference.objects.filter(pk=caller.user).update(secret=secret)
    return secret


def _test(request: HttpRequest, caller: Caller) -> HttpResponse:
    throttled(TESTING, request, caller)
    preference = Preference.objects.filter(pk=caller.user).first()
    post = chores.outbox(this_site())
    outcome = send(
        preference.choice if preference else Choice(),
        _test_message(caller.user, post.site_url),
        address=post.addresses([caller.user]).get(caller.user, ""),
        secret=preference.secret if preference else "",
        send_mail=post.send_mail,
        limits=post.limits,
    )
    if outcome.delivered:
        messages.success(request, "A test message is sent.")
    else:
        messages.error(request, f"The test message was not sent: {outcome.why}.")
    return redirect("profile")


def _test_message(user: str, site_url: str) -> Message:
    name = this_site().settings.site.name
    return Message(
        title=f"{name}: a test message",
        body=f"This is how {name} tells {user} that a job has ended.\n\n{site_url}/profile\n",
        facts={"event": "test", "user": user, "url": f"{site_url}/profile"},
    )
