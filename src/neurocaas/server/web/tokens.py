"""A user's API tokens: made, shown once, revoked."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from neurocaas.server.accounts import audit
from neurocaas.server.accounts import tokens as api_tokens
from neurocaas.server.accounts.models import Scope, Token, User
from neurocaas.server.groups.scope import Caller
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.pages import page

LIFETIMES = (("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "no end"))


class TokenForm(forms.Form):
    """What a new token is called and good for."""

    name = forms.CharField(max_length=80, help_text="What you will know it by, as in: analysis server.")
    scope = forms.ChoiceField(choices=Scope.choices, label="It may", initial=Scope.WRITE)
    days = forms.ChoiceField(choices=LIFETIMES, label="It ends after", required=False, initial="90")


@never_cache
@page
def tokens(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The tokens that hold, and a form for a new one, whose secret is shown in the answer and never again."""
    user = User.objects.get(username=caller.user)
    form, secret = TokenForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"]
        token, secret = api_tokens.issue(
            user, name=form.cleaned_data["name"], scope=form.cleaned_data["scope"], days=int(days) if days else None
        )
        audit.record("made a token", token.start, user=caller.user, request=request, scope=token.scope)
        form = TokenForm()
    context = {
        "form": form,
        "secret": secret,
        "tokens": Token.objects.filter(user=user, revoked_at=None).order_by("-created_at"),
        "url": this_site().settings.site.web.url,
    }
    return render(request, "web/tokens.html", context)


@require_POST
@page
def revoke(request: HttpRequest, caller: Caller, token_id: int) -> HttpResponse:
    """Make a token worthless at once."""
    token = api_tokens.revoke(User.objects.get(username=caller.user), token_id)
    audit.record("revoked a token", token.start, user=caller.user, request=request)
    messages.success(request, f"The token {token.name} is worthless now.")
    return redirect("tokens")
