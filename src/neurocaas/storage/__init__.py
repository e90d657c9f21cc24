"""Object store (file://, s3://), key layout, checksums and transfers."""

from neurocaas.storage import keys
from neurocaas.storage.address import open_store
from neurocaas.storage.checksums import (
    FileDigest,
    FolderDigest,
    digest_file,
    digest_folder,
    digest_many,
    fingerprint,
    folder_digest,
)
from neurocaas.storage.store import Entry, Store

__all__ = [
    "Entry",
    "FileDigest",
    "FolderDigest",
    "Store",
    "digest_file",
    "digest_folder",
    "digest_many",
    "fingerprint",
    "folder_digest",
    "keys",
    "open_store",
]
