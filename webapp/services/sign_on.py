"""The way to a provider and back: to sign in, to link an account, or to show that it is still you.

Between the two requests, which any worker may serve, everything is in the database: the state and the browser's
cookie as SHA-256, the verifier and the nonce sealed.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from config import Provider
from webapp.errors import BadReply, Forbidden, InvalidInput, NotFound, Refused
from webapp.services import accounts, audit, identity, linked_accounts, login, providers, sessions, throttle
from webapp.services.audit import Actor
from webapp.services.login import SignedIn
from webapp.services.providers import Person
from webapp.services.throttle import Limit
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import LinkedAccount, Session, SignOn
from webapp.upstream import id_tokens, refusals
from webapp.upstream.provider import Question

OPEN_FOR = timedelta(minutes=10)
KEPT_FOR = timedelta(days=1)
LEEWAY = timedelta(seconds=id_tokens.LEEWAY)
TOKEN_BYTES = 32  # 256 bits
VERIFIER_BYTES = 64  # RFC 7636 §4.1 wants 43 to 128 characters
AGAIN = "Begin the sign-in again."

Purpose = Literal["sign_in", "link", "confirm"]


@dataclass(frozen=True)
class Visitor:
    """Who is at the door: a browser, known by a cookie of its own, and where it came from."""

    browser: str  # the cookie's value
    ip: str
    agent: str
    session: Session | None = None

    def actor(self, name: str = "somebody") -> Actor:
        if self.session is None:
            return Actor("user", name[:100], ip=self.ip)
        user = self.session.user
        return Actor("user", user.email, user.id, user.role, self.ip)


@dataclass(frozen=True)
class Arrival:
    """How it ended; `signed_in` for the cookie, where a session or half of one began."""

    row: SignOn
    signed_in: SignedIn | None = None


class NotThisOne(Refused):
    """A way back that belongs to no open sign-on of this browser. `reason` is a word for the address of a page."""

    def __init__(self, reason: str) -> None:
        super().__init__(ENDINGS[reason], next_step=AGAIN)
        self.reason = reason


ENDINGS = {
    "unknown": "This sign-in is not known here.",
    "used": "This sign-in was completed or refused before; the way back works once.",
    "expired": "This sign-in took longer than ten minutes.",
    "elsewhere": "This sign-in was begun in another browser, or you have signed out since.",
    "failed": "Gatehouse had a fault of its own while it finished this sign-in. Its log says which.",
}  # fmt: skip


def new_browser() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def begin(
    key: str, visitor: Visitor, came_by: str, limit: Limit, *, purpose: Purpose = "sign_in", goes_to: str = ""
) -> str:
    """The address of the provider's page. Network: never inside a transaction.

    Raises NotFound, InvalidInput, TooMany or an UpstreamError.
    """
    provider = providers.find(key)
    redirect_uri = _usable_way_back(key, came_by)
    throttle.count(_bucket(visitor), limit.times(5))
    request = {"published": providers.published(provider), "redirect_uri": redirect_uri}
    question = Question(
        secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(VERIFIER_BYTES),
        secrets.token_urlsafe(TOKEN_BYTES), provider.scope, afresh=purpose == "confirm",
    )  # fmt: skip
    _keep(key, visitor, question, request, purpose, goes_to)
    return providers.desk(provider, request).page(question)


def find(sign_on_id: str, visitor: Visitor) -> SignOn:
    """The one whose end this browser may read of. Raises NotFound."""
    row: SignOn | None = SignOn.get_or_none(SignOn.id == sign_on_id)
    if row is None or row.browser_hash != _hash(visitor.browser) or not row.problem:
        raise NotFound("There is no such sign-in in this browser.", next_step=AGAIN)
    return row


def come_back(key: str, answer: Mapping[str, str], visitor: Visitor) -> Arrival:
    """What the browser brought. Raises NotThisOne where it belongs to no sign-on of this browser. Any other refusal
    is written on the row."""
    row, who = _claim(key, answer.get("state", ""), visitor), "somebody"
    try:
        provider = providers.find(key)
        person = _asked_for(row, provider, answer)
        who = person.email or person.subject
        return Arrival(row, _ends(row, provider, person, visitor))
    except Refused as refusal:
        _give_up(row, refusal, visitor.actor(who))
        return Arrival(SignOn.get_by_id(row.id))


def way_back(key: str, came_by: str) -> str:
    """The return address, which an admin registers at the provider."""
    return identity.return_address(came_by, f"/login/{key}/callback")


def _usable_way_back(key: str, came_by: str) -> str:
    standing = identity.standing_of(came_by)
    if standing.open_instead:
        raise InvalidInput(standing.problem, why=standing.why, next_step=standing.next_step)
    if standing.by_hand:
        raise InvalidInput(
            standing.problem, why=standing.why,
            next_step="Sign in with a password until Gatehouse is behind https and PUBLIC_URL is set.",
        )  # fmt: skip
    return way_back(key, came_by)


def _bucket(visitor: Visitor) -> str:
    return f"sign-on from {throttle.network(visitor.ip)}"


def _keep(
    key: str, visitor: Visitor, question: Question, request: dict[str, Any], purpose: Purpose, goes_to: str
) -> None:
    sign_on_id = secrets.token_urlsafe(16)
    kept = {"verifier": question.verifier, "nonce": question.nonce}
    with writing():
        SignOn.delete().where(SignOn.created_at < now() - KEPT_FOR).execute()
        SignOn.create(
            id=sign_on_id, provider=key, purpose=purpose, browser_hash=_hash(visitor.browser),
            session=visitor.session if purpose != "sign_in" else None, state_hash=_hash(question.state),
            secrets=SignOn.secrets.seal(sign_on_id, kept), request=request, goes_to=goes_to,
            expires_at=now() + OPEN_FOR,
        )  # fmt: skip


def _claim(key: str, state: str, visitor: Visitor) -> SignOn:
    """The open sign-on of this state and browser, taken by one conditional update: a state works once."""
    row: SignOn | None = SignOn.get_or_none(SignOn.state_hash == _hash(state)) if state else None
    if row is None:  # strangers may not fill the log
        raise NotThisOne("unknown")
    with writing():
        if reason := _why_not(row, key, visitor):
            _record_refusal(row, ENDINGS[reason], visitor.actor())
    if reason:
        raise NotThisOne(reason)
    return row


def _why_not(row: SignOn, key: str, visitor: Visitor) -> str:
    """Empty where the sign-on is this browser's and open; it is taken then."""
    session = visitor.session
    if row.browser_hash != _hash(visitor.browser) or row.provider != key:
        return "elsewhere"
    if row.purpose != "sign_in" and (session is None or row.session_id != session.id):
        return "elsewhere"
    if row.expires_at <= now():
        return "expired"
    taken = SignOn.update(ended="done", secrets=None).where(SignOn.id == row.id, SignOn.ended == "").execute()
    return "" if taken else "used"


def _asked_for(row: SignOn, provider: Provider, answer: Mapping[str, str]) -> Person:
    """Whoever the provider says has signed in. Raises an UpstreamError or Forbidden."""
    _check_issuer(row, answer.get("iss"))
    if error := answer.get("error"):
        own = (answer["state"], answer.get("code", ""))
        said = (refusals.without(own, text) for text in (error, answer.get("error_description", "")))
        raise refusals.of_page(provider.name, *said)
    if not (code := answer.get("code", "")):
        raise BadReply(
            f"{provider.name} sent you back without a sign-in code.", kind="not_mcp", next_step=AGAIN
        )
    kept = SignOn.secrets.open(row.id, row.secrets)
    claims = asyncio.run(providers.desk(provider, row.request).claims(code, kept["verifier"], kept["nonce"]))
    return providers.person_of(provider, claims)


def _check_issuer(row: SignOn, iss: str | None) -> None:
    """RFC 9207 §2.4, before anything else of the answer is believed."""
    published = row.request["published"]
    promised = published.get("authorization_response_iss_parameter_supported")
    if iss != published["issuer"] and (iss is not None or promised):
        raise BadReply(
            "The answer did not come from the provider you were sent to.", kind="not_mcp",
            why="It names another one, or hides which one it is from. That is how mix-up attacks look.",
            next_step=AGAIN,
        )  # fmt: skip


def _ends(row: SignOn, provider: Provider, person: Person, visitor: Visitor) -> SignedIn | None:
    throttle.give_back(_bucket(visitor))
    if row.purpose == "sign_in":
        user = linked_accounts.admitted(provider, person, visitor.ip)
        return login.let_in(user, visitor.ip, visitor.agent, provider.name, person.shown_at)
    assert visitor.session is not None  # `_why_not` has seen to it
    if row.purpose == "link":
        return _link(visitor.session, provider, person, visitor)
    _confirm(row, visitor.session, provider, person)
    return None


def _link(session: Session, provider: Provider, person: Person, visitor: Visitor) -> SignedIn:
    """They have shown both: a session here that is theirs, and an account there. The session goes on as a new one."""
    user = session.user
    with writing():
        if person.role:
            linked_accounts.link(user, provider, person.subject, person.email, visitor.actor())
        linked_accounts.check(user, provider, person)
        user = accounts.get_user(user.id)
        return login.inside(user, visitor.ip, visitor.agent, provider.name, session.shown_at)


def _confirm(row: SignOn, session: Session, provider: Provider, person: Person) -> None:
    link = LinkedAccount.of(session.user)
    if link is None or (link.issuer, link.subject) != (provider.issuer, person.subject):
        raise Forbidden(
            f"You signed in at {provider.name} as somebody else.",
            why=f"You are signed in here as {session.user.email}.",
            next_step="Sign in there with the account that you use here.",
        )
    linked_accounts.check(session.user, provider, person)
    began: datetime = row.created_at
    if person.shown_at is None or not began - LEEWAY <= person.shown_at <= now() + LEEWAY:
        raise Forbidden(
            f"{provider.name} did not ask who you are just now.",
            why="It says that you signed in earlier." if person.shown_at else "It does not say when you signed in "
            "(the claim auth_time).",
            next_step="Sign out and sign in again. If that is so each time, tell whoever looks after the provider.",
        )  # fmt: skip
    sessions.confirmed(session)


def _give_up(row: SignOn, refusal: Refused, actor: Actor) -> None:
    problem = {"what": refusal.what, "why": refusal.why, "next_step": refusal.next_step}
    with writing():
        SignOn.update(ended="refused", problem=problem).where(SignOn.id == row.id).execute()
        _record_refusal(row, refusal.what, actor)


def _record_refusal(row: SignOn, why: str, actor: Actor) -> None:
    details = {"provider": row.provider, "for": row.purpose, "why": why}
    audit.record("sign_on.refused", actor, outcome="refused", details=details, agents_notice=False)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
