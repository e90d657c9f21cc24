"""Django's admin, for operators only: accounts to correct or close; tokens and the audit log to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse

from neurocaas.server.accounts.callers import page_caller
from neurocaas.server.accounts.models import AuditEntry, Token, User


class OperatorsAdmin(admin.AdminSite):
    """Whoever `site.json` names as an operator, signed in as everybody is, second factor included."""

    site_header = "NeuroCAAS"

    def has_permission(self, request: HttpRequest) -> bool:
        caller = page_caller(request)
        return caller is not None and caller.operator

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # noqa: ARG002
        """For somebody who is signed in already, and may not come in, there is no such page, as with all of them."""
        if page_caller(request) is not None:
            raise Http404
        return redirect_to_login(request.get_full_path())


class OperatorsModel(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that operators may look at."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.admin_site.has_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return self.admin_site.has_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


class Accounts(OperatorsModel):
    """An address can be corrected and an account closed; the user id never changes, and jobs keep naming it."""

    list_display = ("username", "email", "is_active", "last_login")
    search_fields = ("username", "email")
    fields = ("username", "email", "first_name", "last_name", "is_active", "last_login", "date_joined")
    readonly_fields = ("username", "last_login", "date_joined")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return self.admin_site.has_permission(request)


class Tokens(OperatorsModel):
    list_display = ("start", "user", "name", "scope", "created_at", "used_at", "revoked_at")
    fields = list_display


class AuditEntries(OperatorsModel):
    list_display = ("at", "user", "group", "action", "what", "address")
    search_fields = ("user", "group", "action")


operators_admin = OperatorsAdmin(name="admin")
operators_admin.register(User, Accounts)
operators_admin.register(Token, Tokens)
operators_admin.register(AuditEntry, AuditEntries)
