"""The system's errors in words that say what to do."""

from __future__ import annotations

import errno

_WHY = {
    errno.ENOSPC: "the disk is full; make room there",
    errno.EDQUOT: "the disk quota is used up; make room there",
    errno.EFBIG: "the file would be larger than this process may write (see `ulimit -f`)",
    errno.EACCES: "permission is missing; give this user access",
    errno.EPERM: "the system does not permit it; give this user access",
    errno.EROFS: "the disk is mounted read-only; mount it writable or choose another store",
    errno.ENOTDIR: "a part of the key is an object itself",
    errno.EISDIR: "there are objects below this key",
    errno.EEXIST: "a part of the key is an object itself",
    errno.EIO: "the disk reports an error; check it",
    errno.ESTALE: "the network disk has gone away; check that it is mounted",
}


def why(error: OSError) -> str:
    """The clause that goes after a colon: what is wrong and, where that can be said, what to do."""
    return _WHY.get(error.errno or 0) or (error.strerror or str(error)).lower()
