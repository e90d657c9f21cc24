"""What a user chose: how to be told, and of what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from neurocaas.documents import Document


class Choice(Document):
    """channel: how to tell. webhook: where to, for that channel. only_failures: nothing of jobs that went well."""

    channel: Literal["none", "email", "webhook"] = "none"
    webhook: Annotated[str, Field(max_length=2000)] = ""
    only_failures: bool = False
