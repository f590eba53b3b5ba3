"""Who is known, what was granted, and which tokens live: the memory of the sign-in service."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field

CODE_SECONDS = 60


@dataclass(frozen=True)
class RegisteredClient:
    """`method`: none, basic or post. Without `redirect_uris`, any will do."""

    client_id: str
    secret: str
    method: str
    redirect_uris: tuple[str, ...] = ()


@dataclass
class Family:
    """One consent and all tokens that came of it: they die together."""

    client_id: str
    scope: str
    resource: str
    alive: bool = True


@dataclass
class Code:
    family: Family
    redirect_uri: str
    challenge: str
    ends: float
    used: bool = False


@dataclass
class AccessToken:
    family: Family
    scope: str
    ends: float


@dataclass
class RefreshToken:
    family: Family
    used: bool = False


@dataclass
class Ledger:
    lock: threading.RLock = field(default_factory=threading.RLock)
    clients: dict[str, RegisteredClient] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    access: dict[str, AccessToken] = field(default_factory=dict)
    refresh: dict[str, RefreshToken] = field(default_factory=dict)
    families: list[Family] = field(default_factory=list)
    given_out: list[str] = field(default_factory=list)

    def secret(self, kind: str) -> str:
        """A new canary: nobody but its owner may ever write it down. `given_out` keeps what no encoding changes."""
        canary = secrets.token_hex(16)
        self.given_out.append(canary)
        return f"{kind}-{canary}"

    def add_client(self, method: str, redirect_uris: tuple[str, ...] = ()) -> RegisteredClient:
        """Ids and secrets have everything in them that RFC 6749 §2.3.1 wants encoded."""
        with self.lock:
            number = len(self.clients) + 1
            secret = "" if method == "none" else self.secret("secret:50%2B+ more")
            client = RegisteredClient(
                f"client:{number} of 100% +{secrets.token_hex(4)}", secret, method, redirect_uris
            )
            self.clients[client.client_id] = client
            return client

    def add_code(self, family: Family, redirect_uri: str, challenge: str) -> str:
        with self.lock:
            code = self.secret("code")
            self.codes[code] = Code(family, redirect_uri, challenge, time.monotonic() + CODE_SECONDS)
            self.families.append(family)
            return code

    def add_access(self, family: Family, scope: str, seconds: float) -> str:
        with self.lock:
            token = self.secret("access")
            self.access[token] = AccessToken(family, scope, time.monotonic() + seconds)
            return token

    def add_refresh(self, family: Family) -> str:
        with self.lock:
            token = self.secret("refresh")
            self.refresh[token] = RefreshToken(family)
            return token

    def living(self, access_token: str) -> AccessToken | None:
        with self.lock:
            token = self.access.get(access_token)
            lives = token is not None and token.family.alive and token.ends > time.monotonic()
            return token if lives else None

    def expire_access_tokens(self) -> None:
        with self.lock:
            for token in self.access.values():
                token.ends = 0

    def end_families(self) -> None:
        with self.lock:
            for family in self.families:
                family.alive = False

    def revoke(self, token: str) -> None:
        """RFC 7009 §2.1: with a refresh token goes all that came of it."""
        with self.lock:
            if (refresh := self.refresh.get(token)) is not None:
                refresh.family.alive = False
            if (access := self.access.get(token)) is not None:
                access.ends = 0
