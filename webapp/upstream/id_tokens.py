"""ID tokens (OpenID Connect Core §3.1.3.7): whether one is from this provider, for us, and of this sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExpiredTokenError,
    InvalidClaimError,
    InvalidKeyIdError,
    JoseError,
    MissingClaimError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import ECKey, Key, KeySet, RSAKey
from joserfc.jws import JWSRegistry

from webapp.errors import BadReply

# None of them can be made with what a provider publishes: no `none`, no HS256 with a public key as its secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
KINDS: dict[str, type[RSAKey] | type[ECKey]] = {"RSA": RSAKey, "EC": ECKey}
LEEWAY = 60  # seconds that two clocks may differ
SHORTEST_RSA = 2048
LONGEST_SUBJECT = 255
NOT_READABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
CLOCKS = "The clocks of this machine and of the provider differ, or the answer lay about for long."
# A claim → what its mistake may mean.
WHY = {
    "iss": "It is from another issuer.",
    "aud": "It was made for another app.",
    "azp": "It was given to another app.",
    "nonce": "It belongs to another sign-in.",
    "sub": "It does not say who has signed in.",
    "at_hash": "It does not belong to the answer that it came with.",
    "exp": CLOCKS,
    "iat": CLOCKS,
    "nbf": CLOCKS,
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What the token must say to be the answer to our question."""

    issuer: str
    client_id: str
    nonce: str = field(repr=False)
    access_token: str = field(default="", repr=False)


def claims_of(id_token: str, published: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """`published` is the provider's key set (RFC 7517). Raises BadReply."""
    try:
        token = jwt.decode(id_token, _keys(published), registry=_registry())
        claims = CodeIDToken(token.claims, token.header, _options(wanted), _params(wanted))
        claims.validate(leeway=LEEWAY)
    except JoseError as error:
        raise _not_trusted(_why(error)) from None  # its words may quote the token
    except NOT_READABLE:
        raise _not_trusted("It can't be read.") from None
    if not 0 < len(token.claims["sub"]) <= LONGEST_SUBJECT:
        raise _not_trusted(WHY["sub"])
    return dict(token.claims)


def _registry() -> JWSRegistry:
    """A header that nobody knows is ignored (RFC 7515 §4), unless it is marked critical."""
    return JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)


def _keys(published: Mapping[str, Any]) -> KeySet:
    """One that can't be read does not spoil its neighbours. Those for other uses joserfc passes over."""
    keys: list[Key] = []
    for one in published["keys"]:
        try:
            key = KINDS[one["kty"]].import_key(one)
        except (JoseError, *NOT_READABLE):
            continue
        if not isinstance(key, RSAKey) or key.raw_value.key_size >= SHORTEST_RSA:
            keys.append(key)
    return KeySet(keys)


def _options(wanted: Wanted) -> dict[str, Any]:
    """That these, and `sub`, `exp`, `iat` and `nonce`, are there at all, Authlib demands by itself."""
    return {"iss": {"value": wanted.issuer}, "aud": {"value": wanted.client_id}}


def _params(wanted: Wanted) -> dict[str, str]:
    return {"nonce": wanted.nonce, "client_id": wanted.client_id, "access_token": wanted.access_token}


def _why(error: JoseError) -> str:
    match error:
        case UnsupportedAlgorithmError():
            return "It is signed in a way that anybody could have signed it, or that is out of date."
        case BadSignatureError() | InvalidKeyIdError():
            return "It is not signed with a key of this provider."
        case ExpiredTokenError():
            return CLOCKS
        case InvalidClaimError() | MissingClaimError():
            named = error.claim.split(",")
            return next(
                (WHY[claim] for claim in named if claim in WHY), "Something in it is missing or wrong."
            )
    return "It can't be read."


def _not_trusted(why: str) -> BadReply:
    return BadReply(
        "The provider’s answer can’t be trusted.", kind="not_mcp", why=why,
        next_step="Sign in again. If it stays so, tell whoever looks after the provider.",
    )  # fmt: skip
