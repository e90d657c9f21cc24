"""Data that is already elsewhere: what stands behind an https://, s3:// or DANDI address, fetched within limits."""

from neurocaas.server.fetching.network import Cancelled, Network
from neurocaas.server.fetching.remote import Fetched, Remote, describe, fetch
from neurocaas.settings import FetchLimits

__all__ = ["Cancelled", "FetchLimits", "Fetched", "Network", "Remote", "describe", "fetch"]
