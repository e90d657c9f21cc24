"""The addresses of the pages. Their names stand alone, as templates use them: `{% url "analyses" %}`."""

from __future__ import annotations

from django.urls import path

from neurocaas.server.web import home, theme

urlpatterns = [
    path("", home.home, name="home"),
    path("theme", theme.choose, name="theme"),
]
