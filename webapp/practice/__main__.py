"""`python -m webapp.practice`: the practice server on 127.0.0.1, port PRACTICE_PORT (8001)."""

from __future__ import annotations

import os
import sys

from webapp.practice.app import serve


def main() -> None:
    port = os.environ.get("PRACTICE_PORT", "8001")
    if not port.isdecimal() or int(port) > 65535:
        sys.exit("PRACTICE_PORT must be a port number, for example 8001.")
    try:
        serve(int(port))
    except OSError as error:
        sys.exit(f"Port {port} can't be used ({error.strerror}). Set PRACTICE_PORT to a free one.")


if __name__ == "__main__":
    main()
