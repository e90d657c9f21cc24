"""Who attacks a site in the tests: a browser that nobody knows yet, and what it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.roles import Roles

if TYPE_CHECKING:
    from django.test import Client

JSON = "application/json"
PASSWORD = "a password of some length"


def body(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else answer.content


def visitor(**more: Any) -> Client:
    from django.test import Client

    return Client(SERVER_NAME="localhost", **more)


def sign_in(client: Client, login: str = "bob", password: str = PASSWORD, **more: str) -> Any:
    return client.post("/accounts/login/", {"login": login, "password": password, **more})


def with_https(site: Roles) -> dict[str, Any]:
    """The settings of the same site at an address with https."""
    from neurocaas.server.serving.configuration import full_configuration, secret_key
    from neurocaas.settings import SiteDocument

    settings = site.website.site.settings
    document = SiteDocument.model_validate({"name": "Site", "web": {"url": "https://localhost"}})
    made = full_configuration(settings.model_copy(update={"site": document}), secret_key(settings))
    left_out = {"DATABASES", "INSTALLED_APPS", "EMAIL_BACKEND"}
    return {name: value for name, value in made.items() if name not in left_out}
