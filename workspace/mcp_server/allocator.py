"""Have the C library give memory back that threads have freed: the server's bounds are those of its pod."""

from __future__ import annotations

import ctypes

# glibc, malloc/malloc.h.
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8

# By itself glibc gives each of eight threads per processor an arena of its own, which keeps what was freed in it, and takes
# ever larger blocks from it, 32 MB at last. Twenty backtests at once then left 200 MB behind that nobody used.
ARENAS = 2
OWN_MAPPING_BYTES = 256 * 1024


def give_back_what_is_freed() -> bool:
    """Call before threads begin. False where the C library has no such settings: musl and macOS need none."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(M_ARENA_MAX, ARENAS) and mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES))
