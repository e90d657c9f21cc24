"""The REST API's document and root: how callers are known, what is read of a request, and how every error is told."""

from __future__ import annotations

from typing import Any

from ninja import NinjaAPI
from ninja.errors import ValidationErrorContext

from neurocaas.documents import explain
from neurocaas.errors import Refused
from neurocaas.server.api import account, analyses, events, files, groups, imports, jobs, operators, uploads
from neurocaas.server.api.answers import as_problems
from neurocaas.server.api.authentication import EVERYBODY
from neurocaas.server.api.parsing import StrictParser
from neurocaas.server.api.problems import handle_errors
from neurocaas.server.api.throttles import BY_USER

ABOUT = """
Everything that the website does, for programs.

**Who asks**: an API token, as `Authorization: Bearer ncs_…` (make one on the page of your account), or the session of
a browser, with the CSRF token as `X-CSRFToken` for whatever changes something. **Which group** of yours a request is
about: `?group=` or the header `X-NeuroCAAS-Group`; your current one if you say neither.

**Errors** are documents of the type `application/problem+json` (RFC 9457): `detail` says in a sentence what was found
and what would be right, `remedy` what to do, and `faults` has the sentences one by one if there are several. After
`429` or `503`, ask again when `Retry-After` says.

**Lists** come in pages: `next` of an answer is the `cursor` that asks for the page after it; null at the end.
"""


class Api(NinjaAPI):
    """With sentences in place of pydantic's own words, and problems as what they are."""

    _document: Any = None

    def validation_error_from_error_contexts(self, error_contexts: list[ValidationErrorContext[Any]]) -> Any:
        return Refused(
            "\n".join(
                sentence.removeprefix("body.").replace("body:", "The body:", 1)
                for context in error_contexts
                for sentence in explain(context.pydantic_validation_error, context.model)
            )
        )

    def get_openapi_schema(self, **parameters: Any) -> Any:
        """Made once: it takes half a second, anybody may ask for it, and nothing changes while a process runs."""
        if self._document is None:
            self._document = as_problems(super().get_openapi_schema(**parameters))
        return self._document


api = Api(
    title="NeuroCAAS",
    version="1",
    description=ABOUT,
    urls_namespace="api",
    auth=EVERYBODY,
    throttle=[BY_USER],
    parser=StrictParser(),
)
handle_errors(api)
for room in (account, analyses, jobs, events, files, uploads, imports, groups):
    api.add_router("", room.router)
api.add_router("/operator", operators.router)
