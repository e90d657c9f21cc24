"""The website's own files, looked for once in a test process: every client of Django's has middleware of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from servestatic.middleware import ServeStaticMiddleware


class FoundOnce(ServeStaticMiddleware):
    """As the site has it, but the hundreds of files are not read again for each client."""

    found: ClassVar[dict[str, Any]] = {}

    def add_files_from_finders(self) -> None:
        if not self.found:
            super().add_files_from_finders()
            self.found.update(self.files)
        self.files = self.found
