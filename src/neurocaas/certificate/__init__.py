"""The signed record of a job: written, sealed, read by people, verified by anybody."""

from neurocaas.certificate.facts import Facts
from neurocaas.certificate.keys import SigningKey
from neurocaas.certificate.seal import read_certificate, seal, seal_document
from neurocaas.certificate.text import as_text
from neurocaas.certificate.trusted import TrustedKey, TrustedKeys
from neurocaas.certificate.verification import Outcome, Verdict, verify

__all__ = [
    "Facts",
    "Outcome",
    "SigningKey",
    "TrustedKey",
    "TrustedKeys",
    "Verdict",
    "as_text",
    "read_certificate",
    "seal",
    "seal_document",
    "verify",
]
