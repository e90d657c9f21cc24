"""The group's page: members, codes that invite, budgets, and what was spent; and the way into a group."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from neurocaas.errors import NotFound, Refused
from neurocaas.server.accounts import audit, enrolment
from neurocaas.server.accounts.models import User
from neurocaas.server.groups.deployed import deployed_profile
from neurocaas.server.groups.models import Invitation, Membership
from neurocaas.server.groups.publishing import set_budget
from neurocaas.server.groups.scope import Caller
from neurocaas.server.jobs import ledger, spending
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.charts import bars
from neurocaas.server.web.going_back import back
from neurocaas.server.web.pages import owner_page, page

GROUP_NAME = enrolment.GROUP_NAME


class JoinForm(forms.Form):
    """A way into a group for somebody who has an account already."""

    code = forms.CharField(label="Group code", max_length=20, required=False, help_text="From a colleague.")
    name = forms.RegexField(
        label="Or a new group called",
        regex=GROUP_NAME,
        required=False,
        help_text="Small letters, digits, and . _ - after the first.",
    )


@page
def group(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Members, budget, spending; without a group, the way into one."""
    if not caller.group:
        return render(request, "web/group/none.html", {"form": JoinForm()})
    profile = deployed_profile(caller.group)
    balances = {one.user: one for one in ledger.balances(profile)}
    months = spending.by_month(caller.group, until=timezone.now().date())
    members = [
        {"user": one.user, "role": one.role, "balance": balances.get(one.user) or ledger.new_balance(profile, one.user)}
        for one in Membership.objects.filter(group_id=caller.group).order_by("user")
    ]
    context = {
        "profile": profile,
        "members": members,
        "balance": balances[ledger.GROUP],
        "months": months,
        "spent": any(one.nanodollars for one in months),
        "chart": bars([(f"{one.first:%b}", one.nanodollars, ledger.shown(one.nanodollars)) for one in months]),
        "invitations": enrolment.open_invitations(caller.group) if caller.owner else [],
        "form": JoinForm(),
    }
    return render(request, "web/group/group.html", context)


@require_POST
@page
def join(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Join a group by its code, or found one."""
    form = JoinForm(request.POST)
    if not form.is_valid() or bool(form.cleaned_data["code"]) == bool(form.cleaned_data["name"]):
        raise Refused("A code of a group, or the name of a new one: one of the two is right.")
    code, name = form.cleaned_data["code"], form.cleaned_data["name"]
    site = this_site()
    joined = enrolment.join(site, caller.user, code) if code else enrolment.found(site, caller.user, name)
    audit.record("joined" if code else "founded", joined, user=caller.user, group=joined, request=request)
    _set_current(caller, joined)
    messages.success(request, f"You are in group {joined} now.")
    return redirect("group")


@require_POST
@page
def choose(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Work as a member of another of one's groups from now on."""
    wanted = request.POST.get("group", "")
    if wanted not in caller.roles:
        raise NotFound(f"There is no group {wanted!r} of yours.")
    _set_current(caller, wanted)
    return back(request, "group")


@require_POST
@owner_page
def invite(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Make a code by which colleagues join."""
    made = enrolment.invite(caller)
    audit.record("invited", user=caller.user, group=caller.group, request=request, until=made.expires_at.isoformat())
    messages.success(request, f"Give your colleague this code: {made.code}. It is good for {made.uses_left} people.")
    return redirect("group")


@require_POST
@owner_page
def withdraw(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Make a code worthless."""
    gone, _ = Invitation.objects.filter(group_id=caller.group, pk=request.POST.get("code", "")).delete()
    if not gone:
        raise NotFound("There is no such code of your group.")
    audit.record("withdrew an invitation", user=caller.user, group=caller.group, request=request)
    return redirect("group")


@require_POST
@owner_page
def member(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Change a member's role or budget, or let them go."""
    user, what = request.POST.get("user", ""), request.POST.get("what", "")
    if what == "budget":
        if not Membership.objects.filter(group_id=caller.group, user=user).exists():
            raise NotFound(f"{user} is not a member of group {caller.group}.")
        set_budget(this_site(), caller.group, user, _dollars(request))
    else:
        enrolment.set_role(this_site(), caller, user, None if what == "remove" else what)
    audit.record(f"set {what}", user, user=caller.user, group=caller.group, request=request)
    return redirect("group")


@require_POST
@owner_page
def budget(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Set the group's budget."""
    dollars = _dollars(request)
    set_budget(this_site(), caller.group, None, dollars)
    audit.record("set budget", f"${dollars}", user=caller.user, group=caller.group, request=request)
    return redirect("group")


def _dollars(request: HttpRequest) -> Decimal:
    text = request.POST.get("dollars", "").removeprefix("$")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= 10**9:
        raise Refused(f"dollars: found {text!r}; an amount of US dollars from 0 to 1000000000 is right.")
    return amount


def _set_current(caller: Caller, group: str) -> None:
    User.objects.filter(username=caller.user).update(current_group=group)
