"""Everything the make-believe sign-in service has issued, in memory, tokens and codes as hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from hashlib import sha256
from typing import Any

from joserfc.jwk import RSAKey

from webapp.practice.issued import Client, Code, Grant, Token

CODE_SECONDS = 60
KEPT_CLIENTS = 100


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


class Ledger:
    """`now` is in seconds since 1970, `token_seconds` how long an access token lives."""

    def __init__(self, token_seconds: int, now: Callable[[], float]) -> None:
        self.token_seconds = token_seconds
        self._now = now
        self.forget()

    def forget(self) -> None:
        self.clients: dict[str, Client] = {}
        self.grants: list[Grant] = []
        self._codes: dict[str, Code] = {}
        self._tokens: dict[str, Token] = {}
        self.refreshes = 0
        self.reuses = 0
        self.replays = 0

    @cached_property
    def key(self) -> RSAKey:
        """Signs id tokens. Made when first wanted: it takes a tenth of a second."""
        return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)

    def register(self, client: Client) -> None:
        self.clients[client.client_id] = client
        while len(self.clients) > KEPT_CLIENTS:
            del self.clients[next(iter(self.clients))]

    def keep_code(self, value: str, grant: Grant, redirect_uri: str, challenge: str, nonce: str) -> None:
        now = self._now()
        self._codes = {
            name: code for name, code in self._codes.items() if now < code.issued_at + 60 * CODE_SECONDS
        }
        self._codes[_hash(value)] = Code(grant, redirect_uri, challenge, nonce, now)

    def spend_code(self, value: str, client: Client) -> Code | None:
        """Any use spends it, a failed one too. A second use ends what the first one gave (RFC 6749 §4.1.2)."""
        code = self._codes.get(_hash(value))
        if code is None or code.grant.client is not client:
            return None
        if code.spent:
            self.replays += 1
            code.grant.ended = code.grant.ended or "its code was used twice"
            return None
        code.spent = True
        return None if code.grant.ended or self._now() >= code.issued_at + CODE_SECONDS else code

    def begin(self, grant: Grant, access: str, refresh: str) -> None:
        self.grants.append(grant)
        self._keep(grant, grant.scope, access, refresh)

    def renew(self, spent: Token, scope: str, access: str, refresh: str) -> None:
        spent.spent = True
        spent.grant.refreshes += 1
        self.refreshes += 1
        self._keep(spent.grant, scope, access, refresh)

    def _keep(self, grant: Grant, scope: str, access: str, refresh: str) -> None:
        now = self._now()
        self._tokens = {
            name: token
            for name, token in self._tokens.items()
            if token.expires_at is None or now < token.expires_at
        }
        self._tokens[_hash(access)] = Token(grant, scope, now + self.token_seconds)
        if refresh:
            self._tokens[_hash(refresh)] = Token(grant, grant.scope, None)

    def find(self, value: str) -> Token | None:
        return self._tokens.get(_hash(value))

    def access(self, value: str) -> Token | None:
        token = self.find(value)
        return token if token and not token.renews and self._lives(token) else None

    def renewal(self, value: str, client: Client) -> Token | None:
        """A used refresh token ends the whole family: one of its two users has stolen it (RFC 9700 §4.14.2)."""
        token = self.find(value)
        if token is None or not token.renews or not token.check_client(client):
            return None
        if token.spent and not token.grant.ended:
            self.reuses += 1
            token.grant.ended = "a refresh token was used twice"
        return token if self._lives(token) else None

    def revoke(self, token: Token) -> None:
        """RFC 7009 §2.1: with a refresh token goes the whole grant, with an access token only itself."""
        if token.renews:
            token.grant.ended = token.grant.ended or "revoked by the client"
        token.spent = True

    async def expire(self) -> None:
        for token in self._tokens.values():
            token.spent = token.spent or not token.renews

    async def revoke_all(self) -> None:
        for grant in [*self.grants, *(code.grant for code in self._codes.values())]:
            grant.ended = grant.ended or "revoked here"

    def _lives(self, token: Token) -> bool:
        in_time = token.expires_at is None or self._now() < token.expires_at
        return in_time and not token.spent and not token.grant.ended

    def _living(self, grant: Grant) -> Iterable[Token]:
        return (token for token in self._tokens.values() if token.grant is grant and self._lives(token))

    def summary(self) -> dict[str, Any]:
        """For people and for /state: counts, never a token, a code or a secret."""
        grants = [self._summary(grant) for grant in reversed(self.grants)]
        return {
            "token_seconds": self.token_seconds,
            "clients": [
                {
                    "name": client.name,
                    "auth_method": client.auth_method,
                    "redirect_uris": client.redirect_uris,
                    "registered_at": client.registered_at,
                }
                for client in self.clients.values()
            ],
            "grants": grants,
            "live_access_tokens": sum(grant["access_tokens"] for grant in grants),
            "live_refresh_tokens": sum(grant["refresh_tokens"] for grant in grants),
            "refreshes": self.refreshes,
            "reuse_detected": self.reuses,
            "codes_used_twice": self.replays,
        }

    def _summary(self, grant: Grant) -> dict[str, Any]:
        renews = [token.renews for token in self._living(grant)]
        return {
            "client": grant.client.name,
            "scope": grant.scope,
            "began_at": grant.began_at,
            "access_tokens": renews.count(False),
            "refresh_tokens": renews.count(True),
            "refreshes": grant.refreshes,
            "ended": grant.ended,
        }
