"""What signing up asks beside address and password: a group to found, or a colleague's to join."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest

from neurocaas.blueprint.profile import profile_path
from neurocaas.errors import NotFound
from neurocaas.server.accounts.enrolment import GROUP_NAME, check_code, normal
from neurocaas.server.accounts.models import User
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.site import LOCAL_GROUP


class SignupForm(forms.Form):
    """The part of allauth's sign-up forms, the ordinary one and that after ORCID and the like, that is this site's."""

    field_order = ("username", "email", "password1", "password2", "group_code", "group_name")
    group_code = forms.CharField(
        label="Group code",
        max_length=20,
        required=False,
        help_text="From a colleague whose group you join.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    group_name = forms.RegexField(
        label="Name of a new group",
        regex=GROUP_NAME,
        required=False,
        help_text="Your lab, as in churchland-lab: small letters, digits, and . _ - after the first.",
        error_messages={
            "invalid": "Small letters, digits, and . _ - after the first, are right, as in churchland-lab."
        },
    )

    def clean_group_code(self) -> str:
        code = normal(self.cleaned_data["group_code"])
        if code:
            try:
                check_code(code)
            except NotFound as cause:
                raise forms.ValidationError(cause.message) from cause
        return code

    def clean_group_name(self) -> str:
        name: str = self.cleaned_data["group_name"]
        if name == LOCAL_GROUP or (name and profile_path(this_site().settings.root, name).exists()):
            raise forms.ValidationError("There is a group of this name; ask its owner for a code, or choose another.")
        return name

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or {}
        code, name = cleaned.get("group_code"), cleaned.get("group_name")
        by_code_only = this_site().settings.site.web.sign_up == "code"
        if not self.errors and by_code_only and not code:
            self.add_error("group_code", "Accounts on this site are for people with a group code.")
        elif not self.errors and bool(code) == bool(name):
            self.add_error("group_name", "A code of a group, or the name of a new one: one of the two is right.")
        return cleaned

    def signup(self, request: HttpRequest, user: User) -> None:  # noqa: ARG002 (allauth's interface)
        """Keep what was asked for until the address is verified."""
        user.joining = self.cleaned_data["group_code"]
        user.founding = "" if user.joining else self.cleaned_data["group_name"]
        user.save(update_fields=["joining", "founding"])
