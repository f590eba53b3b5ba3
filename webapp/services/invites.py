"""Invitations: an address and a role, and a link by which its owner makes the account, once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from webapp.errors import InvalidInput, NotFound
from webapp.services import accounts, audit, login, notices, passwords, throttle
from webapp.services.audit import Actor
from webapp.services.login import SignedIn
from webapp.services.roles import needs
from webapp.services.throttle import Limit
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Invite, User

LASTS = timedelta(days=3)
KEPT = timedelta(days=30)  # one that nobody took up, so that whoever invited sees it
MOST = Limit(30, 3600)  # invitations by one admin


class NoInvitation(NotFound):
    """The same words for a link that was used, has run out, was withdrawn, or never was one."""

    def __init__(self) -> None:
        super().__init__(
            "This invitation can’t be used.", why="It was used already, has run out, or was withdrawn.",
            next_step="If you have chosen a password already, sign in. Else ask whoever invited you for another link.",
        )  # fmt: skip


def invite(email: str, role: str, actor: Actor, *, only_admins: bool = False) -> tuple[Invite, str]:
    """The invitation and the token of its link, which is not kept and can't be shown again. `only_admins`: nobody else
    signs in with a password."""
    needs(actor, "admin")
    email = accounts.address(email)
    accounts.check_role(role)
    if only_admins and role != "admin":
        raise InvalidInput(
            "Passwords are for admins here.", field="role", why="PASSWORD_SIGN_IN says so.",
            next_step="Give them a role at the provider: they get in there without an invitation.",
        )  # fmt: skip
    throttle.count(f"invites {actor.id}", MOST)
    token = secrets.token_urlsafe(32)
    with writing():
        accounts.refuse_known(email)
        Invite.delete().where((Invite.email == email) | (Invite.expires_at < now() - KEPT)).execute()
        made: Invite = Invite.create(
            token_hash=_hash(token), email=email, role=role, invited_by=actor.id, expires_at=now() + LASTS
        )
        audit.record("user.invited", actor, details={"email": email, "role": role}, agents_notice=False)
    return made, token


def mail(invited: Invite, link: str) -> bool:
    """False where there is no mail server to send it. Raises Refused where it was not sent. Network: not in a
    transaction."""
    text = (
        f"You are invited to Gatehouse as {invited.role}. Open this link and choose a password:\n\n{link}\n\n"
        f"It works once, within {LASTS.days} days. If you did not expect it, do nothing."
    )
    return notices.write_to(invited.email, "Gatehouse: your invitation", text)


def listed() -> list[Invite]:
    """With whoever invited them."""
    return list(Invite.select(Invite, User).join(User).order_by(Invite.email))


def withdraw(invite_id: int, actor: Actor) -> Invite:
    needs(actor, "admin")
    with writing():
        found: Invite | None = Invite.get_or_none(Invite.id == invite_id)
        if found is None:
            raise NotFound("There is no such invitation.", why="It was taken up or withdrawn meanwhile.")
        Invite.delete().where(Invite.id == invite_id).execute()
        audit.record("user.uninvited", actor, details={"email": found.email}, agents_notice=False)
    return found


def seek(token: str, ip: str, limit: Limit, *, only_admins: bool = False) -> Invite:
    """Raises NoInvitation, and TooMany for who guesses."""
    try:
        found = _of(token)
        if only_admins and found.role != "admin":
            raise NoInvitation
        return found
    except NoInvitation:
        throttle.count(f"invite from {throttle.network(ip)}", limit)
        raise


def _of(token: str) -> Invite:
    """It stands on the right of whoever invited, as that is now."""
    found: Invite | None = (
        Invite.select(Invite, User)
        .join(User)
        .where(Invite.token_hash == _hash(token), Invite.expires_at > now())
        .where(User.role == "admin", User.disabled_at.is_null())
        .first()
    )
    if found is None or User.select().where(User.email == found.email).exists():
        raise NoInvitation
    return found


def accept(
    token: str, name: str, password: str, ip: str, browser: str, limit: Limit, *, only_admins: bool = False
) -> SignedIn:
    """They are in: the account is there from here on, and the invitation is not. Raises InvalidInput, and as
    `seek`."""
    invited = seek(token, ip, limit, only_admins=only_admins)
    values = accounts.checked(invited.email, name, password, invited.role)
    hashed = passwords.hashed(password)
    with writing():
        invited = _of(token)
        Invite.delete().where(Invite.id == invited.id).execute()
        user: User = User.create(**values, password_hash=hashed)
        actor = Actor("user", user.email, user.id, user.role, ip)
        details = {"role": user.role, "by": invited.invited_by.email}
        audit.record("user.joined", actor, details=details, agents_notice=False)
        return login.inside(user, ip, browser)


def _hash(token: str) -> str:
    """A token is 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
