"""What the C library keeps of the memory that was freed: only glibc has these calls, elsewhere nothing is done."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time

# mallopt(3): its numbers, and ours. What has a megabyte is mapped by itself and goes back to the system when it is
# freed; left alone, glibc keeps the holes that large answers leave between small things. (A list of a thousand tools
# has less: mapping it anew for each agent would cost a third.) Few arenas: the threads hold Python's lock while they
# allocate, so one each would only be one more place to keep holes.
MALLOC = {
    "MALLOC_TRIM_THRESHOLD_": (-1, 4 * 1024 * 1024),
    "MALLOC_MMAP_THRESHOLD_": (-3, 1024 * 1024),
    "MALLOC_ARENA_MAX": (-8, 2),
}
TRIM_SECONDS = 30.0
_libc = ctypes.CDLL(None)


def keep_little() -> None:
    """Workers inherit it. Whoever has set one of glibc's variables is obeyed."""
    if not hasattr(_libc, "mallopt"):
        return
    for name, (parameter, value) in MALLOC.items():
        if name not in os.environ:
            _libc.mallopt(parameter, value)


class Holes:
    """Of one worker: those between small things, which are too small to be mapped by themselves."""

    def __init__(self) -> None:
        self._closed_at = time.monotonic()

    async def close(self) -> None:
        """malloc_trim(3), now and then and beside the event loop: the pages in them go back to the system."""
        if time.monotonic() - self._closed_at < TRIM_SECONDS or not hasattr(_libc, "malloc_trim"):
            return
        self._closed_at = time.monotonic()
        await asyncio.to_thread(_libc.malloc_trim, 0)
