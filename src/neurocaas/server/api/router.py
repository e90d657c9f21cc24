"""The REST API's document and root: how callers are known, and how every error is told (RFC 9457)."""

from __future__ import annotations

from ninja import NinjaAPI

api = NinjaAPI(title="NeuroCAAS", version="1", urls_namespace="api")
