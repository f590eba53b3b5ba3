"""MCP servers behind sign-ins that nobody here wrote: the SDKs' own, and npm's oidc-provider."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.strangers.pages import CONSENT, OIDC, SignInPage
from tests.serving import Process, free_port, listens, node

HERE = Path(__file__).parent
TOOLS = {"list_notes", "who_am_i", "add_note"}
# Long enough that none ends in the middle of a step; who wants to see one renewed says for how long it lives.
LIFE_SECONDS = 600
# RFC 6749 §2.3.1 has id and secret form-encoded in the header: these signs tell who does it.
ODD = "+/=%:&"


@dataclass(frozen=True)
class Stranger:
    """`page` is what stands on its pages; id and secret are there where an admin has to bring them along."""

    mcp_url: str
    issuer: str
    page: SignInPage
    client_id: str = ""
    client_secret: str = field(default="", repr=False)


@contextlib.contextmanager
def _running(command: list[str], log: Path, *ports: int) -> Iterator[None]:
    server = Process(command, log)
    try:
        server.start()
        server.wait_until(lambda: all(map(listens, ports)), "it listened")
        yield
    finally:
        server.stop()


@contextlib.contextmanager
def python_sdk(folder: Path, life: int = LIFE_SECONDS) -> Iterator[Stranger]:
    """Sign-in and server in one, by the Python SDK. Registers anybody; one scope, told in its metadata."""
    port = free_port()
    command = [sys.executable, str(HERE / "python_sdk.py"), str(port), str(life)]
    with _running(command, folder / "python_sdk.log", port):
        yield Stranger(f"http://127.0.0.1:{port}/mcp", f"http://127.0.0.1:{port}/", CONSENT)


@contextlib.contextmanager
def typescript_sdk(folder: Path, life: int = LIFE_SECONDS) -> Iterator[Stranger]:
    """Sign-in and server in one, by the TypeScript SDK. Registers anybody; writing needs more scope."""
    port = free_port()
    command = [node(), str(HERE / "typescript_sdk.mjs"), str(port), str(life)]
    with _running(command, folder / "typescript_sdk.log", port):
        yield Stranger(f"http://127.0.0.1:{port}/mcp", f"http://127.0.0.1:{port}/", CONSENT)


@contextlib.contextmanager
def oidc_registering(folder: Path, life: int = LIFE_SECONDS) -> Iterator[Stranger]:
    """npm's oidc-provider, registering anybody; tokens are opaque, and the server asks what they are worth."""
    port, sign_in_port = free_port(), free_port()
    issuer = f"http://127.0.0.1:{sign_in_port}"
    with _running(_oidc(port, issuer, life), folder / "oidc_registering.log", port, sign_in_port):
        yield Stranger(f"http://127.0.0.1:{port}/mcp", issuer, OIDC)


@contextlib.contextmanager
def oidc_by_hand(folder: Path, redirect_uri: str, life: int = LIFE_SECONDS) -> Iterator[Stranger]:
    """npm's oidc-provider, below a path and without registration; tokens are JWTs."""
    port, sign_in_port = free_port(), free_port()
    issuer = f"http://127.0.0.1:{sign_in_port}/tenant"
    stranger = Stranger(
        f"http://127.0.0.1:{port}/mcp", issuer, OIDC, "known-by-hand", secrets.token_urlsafe() + ODD
    )
    command = _oidc(port, issuer, life)
    command += ["--client-id", stranger.client_id, f"--client-secret={stranger.client_secret}"]
    command += ["--redirect-uri", redirect_uri]
    with _running(command, folder / "oidc_by_hand.log", port, sign_in_port):
        yield stranger


def _oidc(port: int, issuer: str, life: int) -> list[str]:
    script = str(HERE / "behind_oidc.mjs")
    return [node(), script, "--port", str(port), "--issuer", issuer, "--life", str(life)]
