"""The client for the official suite: `python turns.py SOCKET URL` is what the suite starts, once for every scenario
and all at once. Forty programs together on a small machine are late for all, so this one is small and asks the tests,
at the socket, for its turn: there tests.conformance.client runs as a fork of what is loaded, see tests/forked.py.
"""

from __future__ import annotations

import json
import os
import socket
import sys


def main(place: str, url: str) -> int:
    """What the client said, and how it ended."""
    with socket.socket(socket.AF_UNIX) as asked, asked.makefile("rwb") as tests:
        asked.connect(place)
        tests.write(json.dumps({"url": url, "env": dict(os.environ)}).encode() + b"\n")
        tests.flush()
        answer = json.loads(tests.readline())
    sys.stdout.write(answer["stdout"])
    sys.stderr.write(answer["stderr"])
    code: int = answer["code"]
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[-1]))
