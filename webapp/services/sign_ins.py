"""One sign-in in the browser, in three requests that any worker may serve: begin, jump, come back.

Between them everything is in the database: the state as its SHA-256, the verifier sealed.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from mcp.client.auth import OAuthFlowError
from mcp.client.auth.utils import issuers_match, union_scopes, validate_authorization_response_iss
from mcp.shared.auth import OAuthMetadata

from webapp.errors import BadReply, InvalidInput, NotFound, Refused, Stale
from webapp.services import audit, dialects, grants, identity, registrations
from webapp.services.audit import Actor
from webapp.services.egress import egress_for
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Grant, Integration, OAuthClient, Session, SignIn
from webapp.upstream import refusals
from webapp.upstream.challenges import challenge_of
from webapp.upstream.discovery import Discovery, SignInService
from webapp.upstream.oauth import SignInDesk, Tokens

OPEN_FOR = timedelta(minutes=10)
KEPT_FOR = timedelta(days=1)
LOOK_SECONDS = 15.0
STATE_BYTES = 32  # 256 bits
# RFC 7636 §4.1 wants 43 to 128 characters.
VERIFIER_BYTES = 64

# keep: what is asked for now and was granted before; more: and what the server demanded since; afresh: only the first.
Wish = Literal["keep", "more", "afresh"]


@dataclass(frozen=True)
class Route:
    """How the admin's browser came (`http://localhost:8000`), and so how it will come back."""

    came_by: str

    @property
    def standing(self) -> identity.Standing:
        return identity.standing_of(self.came_by)


class NotThisOne(Refused):
    """A way back that belongs to no open sign-in of this browser. `reason` is a word for the address of a page."""

    def __init__(self, reason: str) -> None:
        super().__init__(ENDINGS[reason], next_step="Begin the sign-in again.")
        self.reason = reason


ENDINGS = {
    "unknown": "This sign-in is not known here.",
    "used": "This sign-in was completed or refused before; the way back works once.",
    "expired": "This sign-in took longer than ten minutes.",
    "elsewhere": "This sign-in was begun in another browser, or you have signed out of Gatehouse since.",
    "gone": "The server was disconnected or changed while you were signing in to it.",
    "failed": "Gatehouse had a fault of its own while it finished this sign-in. Its log says which.",
}


def begin(
    integration: Integration, actor: Actor, session: Session, route: Route, *, wish: Wish = "keep"
) -> SignIn:
    """Find out where to sign in and as which client. Network: never inside a transaction.

    Raises ClientWanted where an admin must fetch a client id first, otherwise UpstreamError or InvalidInput.
    """
    needs(actor, "admin")
    standing = route.standing
    if standing.open_instead:
        raise InvalidInput(standing.problem, why=standing.why, next_step=standing.next_step)
    service, client, scope = asyncio.run(_prepare(integration, standing.way_back, wish))
    dialect = dialects.of(integration)
    with writing():
        _forget_old()
        row: SignIn = SignIn.create(
            id=secrets.token_urlsafe(16),
            integration=integration,
            session=session,
            issuer=service.issuer,
            redirect_uri=standing.way_back,
            scope=scope,
            request={
                "host": service.host,
                "resource": dialect.resource(service.resource),
                "metadata": service.metadata.model_dump(mode="json", exclude_none=True),
                "pasted": standing.by_hand,
                "before": _other_issuer(integration, service),
            },
            client=client,
            expires_at=now() + OPEN_FOR,
        )
        details = {"issuer": service.issuer, "scope": scope, "client": client.kind}
        audit.record(
            "sign_in.begun", actor, integration=integration.name, details=details, agents_notice=False
        )
    return row


def find(sign_in_id: str, session: Session) -> SignIn:
    """The sign-in whose page this browser may see. Raises NotFound."""
    row: SignIn | None = SignIn.get_or_none(SignIn.id == sign_in_id)
    if row is None or row.session_id != session.id:
        raise NotFound("There is no such sign-in in this browser.", next_step="Begin the sign-in again.")
    return row


def is_over(row: SignIn) -> bool:
    return bool(row.ended) or row.expires_at <= now()


def jump(row: SignIn) -> str:
    """The address of the sign-in service's page, with a new state and verifier: an earlier one is void then.

    Raises Stale where the sign-in is over.
    """
    state, verifier = secrets.token_urlsafe(STATE_BYTES), secrets.token_urlsafe(VERIFIER_BYTES)
    with writing():
        moved = (
            SignIn.update(
                state_hash=_hash(state),
                verifier=SignIn.verifier.seal(row.id, verifier),
                expires_at=now() + OPEN_FOR,
            )
            .where(SignIn.id == row.id, SignIn.ended == "", SignIn.expires_at > now())
            .execute()
        )
    if not moved:
        raise Stale(ENDINGS["used" if row.ended else "expired"], next_step="Begin the sign-in again.")
    return _desk(row).authorization_url(
        state=state, verifier=verifier, scope=row.scope, resource=row.request["resource"]
    )


def come_back(answer: Mapping[str, str], session: Session | None, actor: Actor) -> SignIn:
    """What the browser brought: on success, the grant is kept and the server connected.

    Raises NotThisOne where it belongs to no sign-in of this browser. Any other refusal is written on the row.
    """
    row = _claim(answer.get("state", ""), session, actor)
    try:
        needs(actor, "admin")
        _check_issuer(row, answer.get("iss"))
        tokens = _exchange(row, answer)
    except Refused as refusal:
        _give_up(row, refusal, actor)
        return _again(row)
    return _complete(row, tokens, actor)


def _complete(row: SignIn, tokens: Tokens, actor: Actor) -> SignIn:
    """What was kept for another server, client or address than the one begun with would be sent to the wrong one."""
    try:
        with writing():
            grants.keep(_again(row), tokens, actor)
            SignIn.update(ended="done", verifier=None).where(SignIn.id == row.id).execute()
    except Stale as stale:
        raise NotThisOne("gone") from stale
    return _again(row)


async def _prepare(
    integration: Integration, way_back: str, wish: Wish
) -> tuple[SignInService, OAuthClient, str]:
    service = await _discover(integration)
    scope = _scope(integration, service, wish)
    client = await registrations.choose(integration, service, way_back, scope)
    return service, client, scope


async def _discover(integration: Integration) -> SignInService:
    egress, dialect = egress_for(integration), dialects.of(integration)
    async with egress.http(total_seconds=LOOK_SECONDS) as http:
        challenge = await challenge_of(integration.url, http, version=integration.protocol)
        discovery = Discovery(egress, http, preferred=_issuer_so_far(integration))
        service = await discovery.sign_in_service(integration.url, challenge, guess=dialect.old_endpoints)
    if service is None:
        raise BadReply(
            "The server publishes nothing about a sign-in in the browser (OAuth).",
            kind="not_mcp",
            next_step="Use a token or an API key, or try the usual addresses of old servers under Advanced.",
        )
    if not service.pkce and not (dialect.pkce_unannounced and service.silent_on_pkce):
        raise BadReply(
            f"The sign-in service {service.host} does not offer PKCE (S256).",
            kind="not_mcp",
            why="Without it a stolen sign-in code is of use to others, so the MCP standard says to stop here.",
            next_step="Ask the vendor, or use an API token instead.",
        )
    return service


def _scope(integration: Integration, service: SignInService, wish: Wish) -> str:
    scope = union_scopes(service.scope, dialects.of(integration).extra_scope)
    grant = Grant.of(integration)
    if grant is not None and wish != "afresh":
        scope = union_scopes(scope, grant.scope)
        if wish == "more":
            scope = union_scopes(scope, grant.needed_scope)
    return scope or ""


def _claim(state: str, session: Session | None, actor: Actor) -> SignIn:
    """The open sign-in of this state and browser, taken by one conditional update: a state works once."""
    row: SignIn | None = SignIn.get_or_none(SignIn.state_hash == _hash(state)) if state else None
    with writing():
        reason = _why_not(row, session) if row else "unknown"
        # Strangers without a state may not fill the log.
        if reason and (row is not None or session is not None):
            _record_refusal(row, ENDINGS[reason], actor)
    if reason or row is None:
        raise NotThisOne(reason)
    return row


def _why_not(row: SignIn, session: Session | None) -> str:
    """Empty where the sign-in is this browser's and open; it is taken then."""
    if session is None or row.session_id != session.id:
        return "elsewhere"
    if row.ended:
        return "used"
    if row.expires_at <= now():
        return "expired"
    taken = SignIn.update(ended="failed").where(SignIn.id == row.id, SignIn.ended == "").execute()
    return "" if taken else "used"


def _record_refusal(row: SignIn | None, why: str, actor: Actor) -> None:
    name = row.integration.name if row else ""
    audit.record(
        "sign_in.refused",
        actor,
        integration=name,
        outcome="refused",
        details={"why": why},
        agents_notice=False,
    )


def _check_issuer(row: SignIn, iss: str | None) -> None:
    """RFC 9207 §2.4, before anything else of the answer is believed."""
    try:
        validate_authorization_response_iss(iss, _metadata(row))
    except OAuthFlowError as error:
        raise BadReply(
            "The answer did not come from the sign-in service you were sent to.",
            kind="not_mcp",
            why="It names another service, or hides which one it is from. That is how mix-up attacks look.",
            next_step="Begin the sign-in again. If it stays so, tell whoever runs the server.",
        ) from error


def _exchange(row: SignIn, answer: Mapping[str, str]) -> Tokens:
    if error := answer.get("error"):
        own = (answer["state"], answer.get("code", ""))
        said = (refusals.without(own, text) for text in (error, answer.get("error_description", "")))
        raise refusals.of_page(row.request["host"], *said)
    code = answer.get("code", "")
    if not code:
        raise BadReply(
            f"{row.request['host']} sent you back without a sign-in code.",
            kind="not_mcp",
            next_step="Begin the sign-in again.",
        )
    verifier = SignIn.verifier.open(row.id, row.verifier)
    return asyncio.run(_desk(row).exchange(code, verifier, row.request["resource"]))


def _give_up(row: SignIn, refusal: Refused, actor: Actor) -> None:
    code = getattr(refusal, "code", "")
    problem = {"what": refusal.what, "why": refusal.why, "next_step": refusal.next_step, "code": code}
    ended = "refused" if code == "access_denied" else "failed"
    with writing():
        SignIn.update(ended=ended, problem=problem, verifier=None).where(SignIn.id == row.id).execute()
        if code == "invalid_client":
            registrations.forget_registered(row.integration)
        _record_refusal(row, refusal.what, actor)


def _again(row: SignIn) -> SignIn:
    current: SignIn | None = SignIn.get_or_none(SignIn.id == row.id)
    if current is None:
        raise NotThisOne("gone")
    return current


def _desk(row: SignIn) -> SignInDesk:
    metadata = _metadata(row)
    if row.client is None:
        raise Stale(
            "The client id of this sign-in was replaced meanwhile.", next_step="Begin the sign-in again."
        )
    client = registrations.opened(row.client, metadata)
    return SignInDesk(egress_for(row.integration), metadata, client, row.redirect_uri)


def _metadata(row: SignIn) -> OAuthMetadata:
    return OAuthMetadata.model_validate(row.request["metadata"])


def _issuer_so_far(integration: Integration) -> str:
    grant = Grant.of(integration)
    return grant.issuer if grant else ""


def _other_issuer(integration: Integration, service: SignInService) -> str:
    """Where the server had us sign in until now, if that was elsewhere."""
    before = _issuer_so_far(integration)
    return before if before and not issuers_match(before, service.issuer) else ""


def _forget_old() -> None:
    SignIn.delete().where(SignIn.created_at < now() - KEPT_FOR).execute()


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()
