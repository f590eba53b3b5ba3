"""What the make-believe sign-in service knows and hands out. The methods are those that Authlib asks for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from webapp.practice.desk import clock

# What the person is told for each scope.
SCOPES = {
    "desk:read": "Read tickets and devices",
    "desk:write": "Change tickets, restart devices and send invoices",
    "openid": "Learn that you are Pat Practice, pat@practice.example",
    "offline_access": "Stay connected when you are away",
}
ACCOUNT = {
    "sub": "pat",
    "name": "Pat Practice",
    "preferred_username": "pat@practice.example",
    "email": "pat@practice.example",
    "email_verified": True,
}


@dataclass(frozen=True)
class Client:
    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    auth_method: str
    grant_types: tuple[str, ...]
    scope: str
    secret: str = field(default="", repr=False)
    registered_at: str = field(default_factory=clock)

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        return self.redirect_uris[0] if len(self.redirect_uris) == 1 else None

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Everything asked for, or None: half of it would be a surprise. Nothing asked for: reading only."""
        wanted = dict.fromkeys((scope or "desk:read").split())
        return " ".join(wanted) if wanted.keys() <= set(self.scope.split()) else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, secret: str) -> bool:
        return secrets.compare_digest(self.secret.encode(), secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self.auth_method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types


@dataclass
class Grant:
    """One "Allow" of the person: the family of all tokens that came of it. `ended` says why it is dead."""

    client: Client
    resource: str
    scope: str
    began_at: str = field(default_factory=clock)
    refreshes: int = 0
    ended: str = ""


@dataclass
class Code:
    grant: Grant
    redirect_uri: str
    code_challenge: str
    nonce: str
    issued_at: float
    code_challenge_method: str = "S256"
    spent: bool = False

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.grant.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(self.issued_at)

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


@dataclass
class Token:
    """An access token, or a refresh token where `expires_at` is None."""

    grant: Grant
    scope: str
    expires_at: float | None
    spent: bool = False

    @property
    def renews(self) -> bool:
        return self.expires_at is None

    def get_scope(self) -> str:
        return self.scope

    def check_client(self, client: Client) -> bool:
        return client.client_id == self.grant.client.client_id
