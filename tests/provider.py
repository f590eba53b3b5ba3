"""A fake OpenID Connect provider on loopback that does everything right, unless a test orders otherwise."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from config import Provider
from tests.house import served

CLIENT, SECRET = "gatehouse", "a secret of 50% + more"
TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
OIDC, ENTRA = "", f"/{TENANT}/v2.0"
ROLES = {"Gatehouse.Admins": "admin", "Helpdesk": "technician", "Guests": "viewer"}
RSA = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER_RSA = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "curve", "use": "sig"})


@dataclass
class Asked:
    """One visit to the page, which the code stands for."""

    params: dict[str, str]
    used: bool = False


@dataclass
class Fake:
    """`person` are the claims about whoever signs in; the other fields are what to do otherwise."""

    url: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)  # over the right ones; None leaves one out
    header: dict[str, Any] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: RSA)
    published: list[Any] = field(default_factory=lambda: [RSA])
    id_token: str | None = None  # in place of a signed one
    document: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str | None] = field(default_factory=dict)  # what goes back with the browser
    raw: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # by the end of the path
    floods: bool = False
    drips: bool = False
    codes: dict[str, Asked] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    given_out: list[str] = field(default_factory=list)

    def reset(self) -> None:
        self.__init__(self.url, person("u-1"))  # type: ignore[misc]

    # What a test does

    def provider(self, path: str = OIDC, **more: Any) -> Provider:
        settings: dict[str, Any] = {"roles": ROLES, "client_id": CLIENT, "client_secret": SECRET} | more
        if path:
            return Provider("entra", "Microsoft", self.url + path, tenant=TENANT, **settings)
        return Provider("oidc", "Keys Inc", self.url, **settings)

    def walk(self, page: str) -> str:
        """What a browser does at the page: it is sent to the return address, which is handed back."""
        reply = httpx2.get(page, trust_env=False, timeout=60)
        assert reply.status_code == 302, reply.text
        return str(reply.headers["location"])

    # What it serves

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._serve, methods=["GET", "POST"])])

    async def _serve(self, request: Request) -> Response:
        path = "/" + request.path_params["path"]
        self.seen.append(path)
        base = ENTRA if path.startswith(ENTRA) else OIDC
        last = path.removeprefix(base)
        if last in self.raw:
            return _raw(*self.raw[last], floods=self.floods, drips=self.drips)
        match last:
            case "/.well-known/openid-configuration":
                return JSONResponse(self._document(base))
            case "/authorize":
                return self._page(dict(request.query_params), base)
            case "/token":
                return self._token(request, (await request.body()).decode(), base)
            case "/keys":
                return JSONResponse({"keys": [key.as_dict(private=False) for key in self.published]})
        return Response("Not found", 404)

    def _document(self, base: str) -> dict[str, Any]:
        issuer = self.url + base
        document = {
            "issuer": issuer, "authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/keys", "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "authorization_response_iss_parameter_supported": True,
        }  # fmt: skip
        return {name: value for name, value in (document | self.document).items() if value is not None}

    def _page(self, asked: dict[str, str], base: str) -> Response:
        assert asked["client_id"] == CLIENT and asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
        code = self._secret()
        self.codes[code] = Asked(asked)
        answer = {"code": code, "state": asked["state"], "iss": self.url + base} | self.answer
        query = urlencode({name: value for name, value in answer.items() if value is not None})
        return RedirectResponse(f"{asked['redirect_uri']}?{query}", 302)

    def _token(self, request: Request, body: str, base: str) -> Response:
        form = dict(parse_qsl(body))
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET) and not _basic(request):
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self.codes.get(form["code"])
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        right = asked and not asked.used and asked.params["code_challenge"] == challenge
        if asked is None or not right or asked.params["redirect_uri"] != form["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant", "error_description": f"No {form['code']}"}, 400)
        asked.used = True
        answer = {"access_token": self._secret(), "token_type": "Bearer", "expires_in": 3600}
        id_token = self.id_token if self.id_token is not None else self._signed(asked, base)
        return JSONResponse(answer | ({"id_token": id_token} if id_token else {}))

    def _signed(self, asked: Asked, base: str) -> str:
        moment = int(time.time())
        claims = {
            "iss": self.url + base, "aud": CLIENT, "exp": moment + 300, "iat": moment,
            "nonce": asked.params.get("nonce"),
        } | self.person  # fmt: skip
        if "max_age" in asked.params:
            claims["auth_time"] = moment
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        for name, value in claims.items():
            if isinstance(value, timedelta):  # from now
                claims[name] = moment + int(value.total_seconds())
        header = {"alg": "RS256", "kid": getattr(self.key, "kid", None)} | self.header
        token = jwt.encode(
            {k: v for k, v in header.items() if v is not None}, claims, self.key, [header["alg"]]
        )
        self.given_out.append(token)
        return token

    def _secret(self) -> str:
        self.given_out.append(canary := secrets.token_hex(16))
        return canary


def person(subject: str, role: str | None = "Helpdesk", **more: Any) -> dict[str, Any]:
    """The claims about somebody, as both kinds of provider make them."""
    roles = {} if role is None else {"roles": [role]}
    said = {"sub": subject, "name": "Pat Doe", "email": f"{subject}@example.com", **roles}
    return said | {"oid": oid(subject), "tid": TENANT} | more


def oid(subject: str) -> str:
    digest = hashlib.sha256(subject.encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def unsigned(claims: dict[str, Any], alg: str = "none") -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": alg, "typ": "JWT"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def public_as_secret(key: RSAKey) -> OctKey:
    """What makes HS256 with a public key: everybody has it."""
    return OctKey.import_key(base64.b64encode(key.as_pem(private=False)))


@contextmanager
def provider() -> Iterator[Fake]:
    fake = Fake()
    with served(fake.app()) as url:
        fake.url = url
        fake.reset()
        yield fake


def _basic(request: Request) -> bool:
    kind, _, pair = request.headers.get("authorization", "").partition(" ")
    if kind != "Basic":
        return False
    name, _, secret = base64.b64decode(pair).decode().partition(":")
    return (unquote_plus(name), unquote_plus(secret)) == (CLIENT, SECRET)


def _raw(status: int, body: bytes, *, floods: bool, drips: bool) -> Response:
    async def content() -> Any:
        yield body
        for _ in range(40 if floods else 0):
            yield b" " * 100_000
        while drips:
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(content(), status, media_type="application/json")


def query_of(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))
