"""The client of the REST API, and the documents that both ends read and write."""

from neurocaas.client.client import Client

__all__ = ["Client"]
