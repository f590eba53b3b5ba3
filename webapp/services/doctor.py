"""What a check can't see from outside: how Gatehouse is known at the sign-in service, the way back, the grant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from mcp.client.auth.utils import issuers_match

from webapp.services import connections, dialects, identity, registrations, stored
from webapp.services.dialects import Dialect
from webapp.services.stored import Stored
from webapp.services.times import absolute
from webapp.store.fields import now
from webapp.store.models import Connection, Grant, Integration, OAuthClient
from webapp.upstream.findings import Finding, State, Verdict, fact
from webapp.upstream.probe import Known

ENTER_CLIENT = "Register an app there with our return address, then enter its client id and secret."
IN_BROWSER = ("oauth", "oauth_late")


def known(integration: Integration) -> Known:
    """What the probe should go by, besides the address."""
    dialect, grant = dialects.of(integration), _grant(integration)
    return Known(grant.issuer if grant else "", dialect.pkce_unannounced, dialect.old_endpoints)


def own_findings(kept: Stored, verdict: Verdict, came_by: str) -> list[Finding]:
    """`came_by` is how the admin's browser came here; empty where nobody's did."""
    integration, grant = kept.integration, _grant(kept.integration)
    found: list[Finding] = []
    if verdict.sign_in in IN_BROWSER or grant is not None:
        found += _registration(integration, verdict.oauth, _way_back(came_by))
        found.append(_return_address(came_by, works=grant is not None and verdict.credentials != "refused"))
    if grant is not None:
        found += _moved(grant, verdict.oauth, dialects.of(integration))
    return found + list(stored.findings(kept, verdict))


def _grant(integration: Integration) -> Grant | None:
    connection: Connection | None = connections.of(integration)
    return Grant.of(integration) if connection is not None and connection.kind == "oauth" else None


def _registration(integration: Integration, service: dict[str, Any], back: str) -> Iterator[Finding]:
    """In the order in which `registrations.choose` goes; nothing is registered here."""
    dialect, entered = dialects.of(integration), registrations.entered(integration)
    if entered is not None and dialect.introduce != "register":
        yield from _entered(entered, service, back)
    elif not service:
        yield from _in_use(integration)
    elif dialect.introduce == "manual":
        yield _wanted(service, "Under Advanced, an admin chose to introduce Gatehouse by hand only.")
    elif service["registration"] == "cimd" and dialect.introduce == "auto" and identity.document_address():
        address = identity.document_address()
        text = "Gatehouse introduces itself there with a document of its own."
        yield Finding("registration", "ok", text, seen=fact("client_id", address))
    elif (registered := _registered(integration, service["issuer"], back)) is not None:
        yield _by_itself(registered)
    elif (used := _used(integration, service["issuer"])) is not None:
        yield _by_itself(used)
        again = "The next sign-in registers Gatehouse anew, as its return address is another one by now."
        yield Finding("registration", "info", again, seen=fact("return address today", back))
    elif service["dcr"] or dialect.old_endpoints:
        text = "Gatehouse registers itself there at the first sign-in; nothing to prepare."
        yield Finding("registration", "ok", text, _why_no_document(service))
    else:
        yield _wanted(service, _why_no_document(service) or "It knows no automatic registration.")


def _entered(client: OAuthClient, service: dict[str, Any], back: str) -> Iterator[Finding]:
    seen = "\n".join([fact("client_id", client.client_id), fact("given out by", client.issuer)])
    if service and not issuers_match(client.issuer, service["issuer"]):
        yield Finding(
            "registration",
            "problem",
            f"The client id on record was given out by {client.issuer}, but the server names "
            f"{service['issuer']} now.",
            "A client id and its secret must never be shown to another sign-in service.",
            "If the vendor has moved, register an app there and enter its client id.",
            seen,
        )
        return
    yield Finding("registration", "ok", f"A client id was entered for {_host(client.issuer)}.", seen=seen)
    if client.redirect_uri != back and urlsplit(back).hostname:
        yield Finding(
            "registration",
            "note",
            "Gatehouse’s return address has changed since the client id was entered.",
            "The sign-in service sends people back only to addresses that its app lists.",
            "Add the return address of today to the app at the vendor.",
            "\n".join([fact("then", client.redirect_uri), fact("today", back)]),
        )


def _in_use(integration: Integration) -> Iterator[Finding]:
    grant = _grant(integration)
    if grant is not None and grant.client is not None:
        yield _by_itself(grant.client)


def _used(integration: Integration, issuer: str) -> OAuthClient | None:
    """The registration that the sign-in of today holds on to."""
    grant = _grant(integration)
    client: OAuthClient | None = grant.client if grant is not None else None
    return (
        client
        if client is not None and client.kind == "dcr" and issuers_match(client.issuer, issuer)
        else None
    )


def _registered(integration: Integration, issuer: str, back: str) -> OAuthClient | None:
    mine = (OAuthClient.integration == integration) & (OAuthClient.kind == "dcr")
    rows = OAuthClient.select().where(mine & (OAuthClient.redirect_uri == back))
    return next((row for row in rows if issuers_match(row.issuer, issuer)), None)


def _by_itself(client: OAuthClient) -> Finding:
    seen = [
        fact("client_id", client.client_id),
        fact("issuer", client.issuer),
        fact("return address", client.redirect_uri),
        f"since: {absolute(client.created_at)}",
    ]
    ends = client.secret_expires_at
    if ends is not None:
        seen.append(f"client secret ends: {absolute(ends)}")
    if ends is not None and ends <= now():
        text = f"Gatehouse’s client secret at {_host(client.issuer)} has run out."
        again = "Press Reconnect: Gatehouse registers itself anew."
        return Finding("registration", "note", text, next_step=again, seen="\n".join(seen))
    way = "by a document of its own" if client.kind == "cimd" else "as it registered itself"
    text = f"Gatehouse is known at {_host(client.issuer)}, {way}."
    return Finding("registration", "ok", text, seen="\n".join(seen))


def _wanted(service: dict[str, Any], why: str) -> Finding:
    text = f"The sign-in service {_page_host(service)} wants a client id, which only an admin can fetch."
    return Finding("registration", "note", text, why, ENTER_CLIENT, "registration_endpoint: no")


def _why_no_document(service: dict[str, Any]) -> str:
    if service["registration"] != "cimd" or identity.document_address():
        return ""
    return (
        "It would also take a document that describes Gatehouse, but others can’t open this Gatehouse: "
        "that takes a PUBLIC_URL with https."
    )


def _way_back(came_by: str) -> str:
    return identity.standing_of(came_by).way_back if came_by else identity.return_address("")


def _return_address(came_by: str, *, works: bool) -> Finding:
    """`works`: there is a sign-in that holds, so only the next one would suffer."""
    base = came_by or identity.return_address("").removesuffix(identity.CALLBACK)
    if not base:
        text = "Sign-in services send you back to the address at which you open Gatehouse."
        return Finding("return_address", "info", text)
    standing = identity.standing_of(base)
    seen = fact("redirect_uri", standing.way_back)
    if not standing.problem:
        text = "Sign-in services can send you back to Gatehouse."
        return Finding("return_address", "ok", text, seen=seen)
    state: State = "note" if works else "problem"
    return Finding("return_address", state, standing.problem, standing.why, standing.next_step, seen)


def _moved(grant: Grant, service: dict[str, Any], dialect: Dialect) -> Iterator[Finding]:
    """What the server and its sign-in service publish today, beside what it was when somebody signed in."""
    if not service:
        return
    if not issuers_match(service["issuer"], grant.issuer):
        yield Finding(
            "service_metadata",
            "note",
            f"The server names another sign-in service now: {_host(service['issuer'])}.",
            f"You are signed in at {_host(grant.issuer)}, and that token may stop working.",
            "If the vendor has moved, press Reconnect. If you did not expect it, ask the vendor first.",
            "\n".join([fact("issuer then", grant.issuer), fact("issuer today", service["issuer"])]),
        )
        return
    before = grant.metadata.get("token_endpoint", "")
    if before and before != service["token_endpoint"]:
        yield Finding(
            "service_metadata",
            "note",
            "The sign-in service has moved its token endpoint.",
            "Renewals still go to the old one, as nobody may move a token elsewhere by itself.",
            "Press Reconnect to go by the new one.",
            "\n".join([fact("then", before), fact("today", service["token_endpoint"])]),
        )
    if grant.resource and grant.resource != dialect.resource(service["resource"]):
        yield Finding(
            "resource_metadata",
            "note",
            "The server calls itself by another name (resource) than when you signed in.",
            "Its tokens are made out for the old name, and may be refused.",
            "If calls are refused, press Reconnect.",
            "\n".join([fact("resource then", grant.resource), fact("today", service["resource"])]),
        )


def _host(issuer: str) -> str:
    return urlsplit(issuer).hostname or issuer


def _page_host(service: dict[str, Any]) -> str:
    return _host(service["authorization_endpoint"])
