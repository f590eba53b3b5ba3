"""The client, a few at a time: `python -m tests.conformance.turns FOLDER URL`.

The suite starts one for every scenario at once, and forty programs together on a small machine are late for all.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

AT_ONCE = 3
LOOK_SECONDS = 0.2


def main(folder: Path, url: str) -> None:
    """The lock lasts as long as the program that takes this one's place."""
    while (lock := _a_place(folder)) is None:
        time.sleep(LOOK_SECONDS)
    os.set_inheritable(lock, True)
    os.execv(sys.executable, [sys.executable, "-m", "tests.conformance.client", url])


def _a_place(folder: Path) -> int | None:
    for number in range(AT_ONCE):
        file = os.open(folder / f"place-{number}", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            return file
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[-1])
