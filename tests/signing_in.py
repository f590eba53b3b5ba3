"""Signing in without a browser: begin, walk through the service's page, come back."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.authority import Service
from webapp.services import integrations, sessions, sign_ins
from webapp.services.audit import COMMAND, Actor
from webapp.services.sign_ins import Route, Wish
from webapp.store.models import Integration, Session, SignIn, User

HERE = Route("http://127.0.0.1:8000")


def somebody(role: str = "admin") -> tuple[Actor, Session]:
    """Somebody signed in to Gatehouse, without the time that hashing a password takes."""
    email = f"{role}@example.com"
    user = User.get_or_none(User.email == email) or User.create(email=email, password_hash="-", role=role)
    sessions.start(user, "", "a browser")
    session = Session.select().where(Session.user == user).order_by(Session.id.desc()).first()
    return Actor("user", user.email, user.id, role), session


def draft(service: Service, name: str = "notes") -> Integration:
    added = integrations.add_server(service.mcp_url, COMMAND, name=name)
    return integrations.allow_private(added, service.allowance(), COMMAND)


def sign_in(
    service: Service, integration: Integration, *, wish: Wish = "keep", route: Route = HERE
) -> SignIn:
    actor, session = somebody()
    row = sign_ins.begin(integration, actor, session, route, wish=wish)
    return sign_ins.come_back(answer_of(service.walk(sign_ins.jump(row))), session, actor)


def answer_of(callback: str) -> dict[str, Any]:
    return dict(parse_qsl(urlsplit(callback).query, keep_blank_values=True))


def connected(service: Service, name: str = "notes") -> Integration:
    row = sign_in(service, draft(service, name))
    assert row.ended == "done", row.problem
    return integrations.find(name)
