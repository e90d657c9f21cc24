"""The addresses of the pages."""

from __future__ import annotations

from django.urls import path

from neurocaas.server.web import home

app_name = "web"
urlpatterns = [
    path("", home.home, name="home"),
]
