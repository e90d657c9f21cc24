"""One error tree. Each error is a sentence for a person: where, what was found, what would be right."""

from __future__ import annotations


class NeurocaasError(Exception):
    """Root of everything this package raises on purpose.

    exit_code: what the command line ends with; http_status: what the API answers.
    """

    exit_code = 70
    http_status = 500

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class Refused(NeurocaasError):
    """Bad input: a submission, document or option that is not accepted; nothing was started or charged."""

    exit_code = 2
    http_status = 422


class NotFound(NeurocaasError):
    """What was named does not exist, or the caller may not know that it does."""

    exit_code = 3
    http_status = 404


class Forbidden(NeurocaasError):
    """The caller may see the thing, but not do this to it."""

    exit_code = 11
    http_status = 403


class Ambiguous(NeurocaasError):
    """A shortened name fits more than one thing."""

    exit_code = 3
    http_status = 409


class NotNow(NeurocaasError):
    """What was asked for can't be done as things stand: something is still missing, or still needed."""

    exit_code = 3
    http_status = 409


class Altered(NeurocaasError):
    """A signed document or its results are not what was signed."""

    exit_code = 4
    http_status = 422


class UnknownKey(NeurocaasError):
    """A signature by a key that is not trusted here."""

    exit_code = 5
    http_status = 403


class EnvironmentBroken(NeurocaasError):
    """An analysis environment could not be built, or is damaged."""

    exit_code = 6


class Unavailable(NeurocaasError):
    """This machine lacks a part that is needed (`neurocaas doctor` lists them)."""

    exit_code = 7
    http_status = 503


class StorageFailed(NeurocaasError):
    """The store could not be read or written: disk full, permission, connection."""

    exit_code = 8
    http_status = 507


class RemoteFailed(NeurocaasError):
    """Another server did not give what the platform asked of it: no answer, too slow, broken off, nonsense."""

    exit_code = 12
    http_status = 502


class IllegalTransition(NeurocaasError):
    """A status change that the table of legal transitions does not hold."""
