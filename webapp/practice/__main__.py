"""`python -m webapp.practice`: the practice server on 127.0.0.1, port PRACTICE_PORT (8001).

PRACTICE_TOKEN_SECONDS (60) is how long an access token of the OAuth door lives.
"""

from __future__ import annotations

import os
import sys

from webapp.practice.app import TOKEN_SECONDS, serve


def main() -> None:
    port = os.environ.get("PRACTICE_PORT", "8001")
    if not port.isdecimal() or int(port) > 65535:
        sys.exit("PRACTICE_PORT must be a port number, for example 8001.")
    seconds = os.environ.get("PRACTICE_TOKEN_SECONDS", str(TOKEN_SECONDS))
    if not seconds.isdecimal() or not 1 <= int(seconds) <= 86400:
        sys.exit("PRACTICE_TOKEN_SECONDS must be a whole number from 1 to 86400, for example 60.")
    try:
        serve(int(port), int(seconds))
    except OSError as error:
        sys.exit(f"Port {port} can't be used ({error.strerror}). Set PRACTICE_PORT to a free one.")


if __name__ == "__main__":
    main()
