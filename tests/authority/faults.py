"""What the sign-in service and the server behind it do wrong, to order: all of it may change while they run."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# Where an endpoint may point to that nobody should go: the clouds' metadata, a private network, a listener beside us.
Lure = Literal["link-local", "private", "decoy"]
SCOPES = ("notes.read", "notes.write", "offline_access")


@dataclass
class Faults:
    """Without arguments: everything as the specifications of 2026-07-28 want it."""

    # RFC 9728. `root`: only there; `elsewhere`: about another server; `trouble`: 500; `astray`: see `lures`.
    resource_metadata: Literal["", "missing", "root", "elsewhere", "trouble"] = ""
    resource: str = "https://other.example/mcp"  # whom `elsewhere` names
    authorization_servers: list[str] | None = None
    # `bare`: without resource_metadata; `none`: a 401 without the header
    challenge: Literal["", "bare", "none"] = ""
    challenge_scope: str = ""
    resource_scopes: tuple[str, ...] | None = SCOPES[:2]

    # RFC 8414 and OpenID Connect Discovery. The last three have an issuer with a path.
    metadata: Literal["", "oidc", "missing", "trouble", "inserted", "oidc-inserted", "appended"] = ""
    issuer: str = ""  # what the document says of itself, where that is not true
    pkce: Literal["S256", "plain", "silent"] = "S256"
    scopes: tuple[str, ...] | None = SCOPES
    page: Literal["", "http", "javascript", "userinfo", "query"] = ""
    published: Mapping[str, Any] = field(
        default_factory=dict
    )  # any field of the document, as it is; None: left out
    # By field: resource_metadata, authorization_servers, redirect (of the resource metadata), or one of the document.
    lures: Mapping[str, Lure] = field(default_factory=dict)

    # RFC 7591. `nulls`: echoes every field, with null where it has nothing; `redirect`, `moved`: as of the token
    # endpoint; `odd_method`: a kind of client that few can be; `nonsense`: no registration at all.
    registration: Literal[
        "", "absent", "refused", "200", "nulls", "trouble", "redirect", "moved", "odd_method", "nonsense"
    ] = ""
    # What a registered client gets; `unnamed`: a secret without a method; empty: as it asked.
    assigned: Literal["", "none", "basic", "post", "unnamed"] = ""
    secret_expires_at: int | None = 0
    client_documents: bool = False
    auth_methods: tuple[str, ...] | None = ("none", "client_secret_basic", "client_secret_post")

    # The page. `consent` may also be any other error code.
    consent: str = "allow"
    consent_description: str = ""
    # RFC 9207. `unpromised`: neither announced nor sent; `unpromised-wrong`: not announced, yet sent, and wrong.
    iss: Literal["right", "wrong", "missing", "unpromised", "unpromised-wrong"] = "right"

    # RFC 8707. `refuse`: like Entra; `require`: nothing without it.
    resource_rule: Literal["", "refuse", "require"] = ""
    resources: tuple[str, ...] = ()  # whose tokens it gives out besides

    # The token endpoint. `form`: form-encoded for whoever does not ask for JSON; `form_always`: for everybody.
    # `cut`: breaks off in mid-answer, after the change was made; `error200`: a refusal with 200;
    # `redirect`: 307 to the decoy; `moved`: 307 to another place of its own.
    token: Literal["", "form", "form_always", "error200", "cut", "huge", "html", "no_token", "redirect"] = ""
    token_status: int = 0  # answered instead, before anything happens …
    token_troubles: int = 0  # … this many times; -1: always
    hold: threading.Event | None = None  # the token endpoint waits for it, before anything happens
    hold_answer: threading.Event | None = None  # and for this one when all has happened but the answer
    refresh_token: Literal["given", "never", "offline"] = (
        "given"  # offline: only with the scope offline_access
    )
    expires_in: int | str | None = 3600
    granted_scope: str | None = None
    email: str = ""  # told by an id token

    # Its refusals of codes, tokens and sign-ins quote what was sent: `plain` the values, `body` as they came (form-
    # encoded), `header` the Authorization header; `code` instead of an error code. The MCP server's quote the token.
    echo: Literal["", "plain", "body", "header", "code"] = ""
    # By path: answered with this status and body, whatever was asked …
    raw: Mapping[str, tuple[int, bytes]] = field(default_factory=dict)
    drips: bool = False  # … a byte every 20 ms
    floods: int = 0  # … followed by so many megabytes

    # Refreshing
    rotation: bool = True  # without it, the answer has no refresh token
    reuse_detection: bool = True
    refresh_error: str = ""  # invalid_grant, invalid_client, …

    # RFC 7009
    revocation: Literal["", "absent", "trouble"] = ""

    # The MCP server
    always_401: bool = False
    late_401: bool = False  # a call runs, then its answer is 401
    open_methods: tuple[str, ...] = ()  # asked of everybody, e.g. initialize
    moved_to: str = ""  # 307 to there, whatever is asked
    insatiable: bool = False  # 403 insufficient_scope whatever was granted
    names_scope: bool = True  # in its 403
