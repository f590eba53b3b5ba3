"""A clock that a test moves, for all processes that share its file: what date and time it is, not how long things take.

`python -m tests.load.clock FILE MODULE …` runs a module by it, `install(FILE)` moves this process's. The program itself
knows nothing of it: what it asks for the time is Python's datetime and time.time, and those are put in their place
before it is loaded. What runs by time.monotonic (timeouts, leases, beats) runs on as ever.
"""

from __future__ import annotations

import datetime
import mmap
import runpy
import struct
import sys
import time
from pathlib import Path
from typing import Any

real, real_time = datetime.datetime, time.time
SECONDS = struct.Struct("d")


class Clock:
    """Seconds ahead of the machine's."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(SECONDS.pack(0))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), SECONDS.size)

    @property
    def ahead(self) -> float:
        seconds: float = SECONDS.unpack_from(self._shared)[0]
        return seconds

    def move(self, by: datetime.timedelta) -> None:
        SECONDS.pack_into(self._shared, 0, self.ahead + by.total_seconds())


def install(file: Path) -> Clock:
    """Before anything is imported that asks for the time."""
    clock = Clock(file)

    class Kind(type):
        """Every moment is one of these, however it was made."""

        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, real)

        def __subclasscheck__(cls, other: type) -> bool:
            return issubclass(other, real)

    class Moved(real, metaclass=Kind):
        __slots__ = ()  # of the size that modules in C expect

        def __new__(cls, *args: Any, **named: Any) -> Any:
            return real.__new__(real, *args, **named)

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return real.fromtimestamp(real_time() + clock.ahead, tz)

    Moved.__module__, Moved.__name__, Moved.__qualname__ = real.__module__, real.__name__, real.__qualname__
    datetime.datetime = Moved  # type: ignore[misc]
    time.time = lambda: real_time() + clock.ahead
    return clock


def main() -> None:
    file, module, *rest = sys.argv[1:]
    install(Path(file))
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
