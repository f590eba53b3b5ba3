"""People: who they are, and which role they have."""

from __future__ import annotations

import re

from webapp.errors import InvalidInput, NotFound, Stale
from webapp.services import audit, passwords, sessions, throttle
from webapp.services.audit import Actor
from webapp.services.roles import ROLES, needs
from webapp.services.throttle import Limit
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import LinkedAccount, User

EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


def create_user(email: str, name: str, password: str, role: str, actor: Actor) -> User:
    needs(actor, "admin")
    values = checked(email, name, password, role)
    hashed = passwords.hashed(password)
    with writing():
        refuse_known(values["email"])
        user: User = User.create(**values, password_hash=hashed)
        audit.record("user.added", actor, details={"email": user.email, "role": role}, agents_notice=False)
    return user


def refuse_known(email: str) -> None:
    if known := User.get_or_none(User.email == email):
        raise InvalidInput(
            f"{email} has an account already.", field="email",
            next_step="It is closed: open it again on that person’s page." if known.disabled_at else "",
        )  # fmt: skip


def get_user(user_id: int) -> User:
    user: User | None = User.get_or_none(User.id == user_id)
    if user is None:
        raise NotFound("There is no such person.")
    return user


def find_user(email: str) -> User:
    user: User | None = User.get_or_none(User.email == email.strip().lower())
    if user is None:
        raise NotFound(f"Nobody has the address {email}.")
    return user


def set_role(user: User, role: str, actor: Actor) -> None:
    needs(actor, "admin")
    check_role(role)
    if LinkedAccount.of(user):
        raise Stale(
            "Their role comes from where they sign in.", why="It is read again at each sign-in there.",
            next_step="Change it at the provider, or give them a password here.",
        )  # fmt: skip
    _change_role(user, role, "user.role", actor, {})


def follow_role(user: User, role: str, provider: str) -> None:
    """As the provider says. Raises Stale for the last admin."""
    _change_role(user, role, "user.role_followed", audit.SYSTEM, {"provider": provider})


def _change_role(user: User, role: str, action: str, actor: Actor, details: dict[str, str]) -> None:
    with writing():
        _keep_an_admin(user, still_admin=role == "admin")
        User.update(role=role).where(User.id == user.id).execute()
        sessions.sign_out_everywhere(user)
        details = {"email": user.email, "from": user.role, "to": role, **details}
        audit.record(action, actor, details=details, agents_notice=False)


def set_disabled(user: User, disabled: bool, actor: Actor) -> None:
    needs(actor, "admin")
    with writing():
        _keep_an_admin(user, still_admin=not disabled)
        User.update(disabled_at=now() if disabled else None).where(User.id == user.id).execute()
        sessions.sign_out_everywhere(user)
        action = "user.disabled" if disabled else "user.enabled"
        audit.record(action, actor, details={"email": user.email}, agents_notice=False)


def rename(user: User, name: str, actor: Actor) -> None:
    with writing():
        User.update(name=name.strip()[:100]).where(User.id == user.id).execute()
        audit.record(
            "user.renamed",
            actor,
            details={"email": user.email, "name": name.strip()[:100]},
            agents_notice=False,
        )


def change_password(user: User, old: str, new: str, actor: Actor, limit: Limit) -> None:
    """Own password; every session of the account ends, this one too."""
    throttle.count(f"password {user.id}", limit)
    if not passwords.matches(user.password_hash, old):
        raise InvalidInput("That is not your present password.", field="old")
    _set_password(user, new, actor)


def reset_password(user: User, new: str, actor: Actor) -> None:
    """Somebody else's password, by an admin. Who signed in at a provider signs in with it instead."""
    needs(actor, "admin")
    _set_password(user, new, actor)


def _set_password(user: User, new: str, actor: Actor) -> None:
    passwords.check(new, user.email, user.email.partition("@")[0], user.name)
    hashed = passwords.hashed(new)
    with writing():
        User.update(password_hash=hashed).where(User.id == user.id).execute()
        unlinked = LinkedAccount.delete().where(LinkedAccount.user == user).execute()
        sessions.sign_out_everywhere(user)
        if unlinked:
            audit.record("sign_on.unlinked", actor, details={"email": user.email}, agents_notice=False)
        audit.record("user.password", actor, details={"email": user.email}, agents_notice=False)


def refuse_last_admin(user: User) -> None:
    """Nobody can lock everybody out."""
    if user.role == "admin" and not User.active_admins().where(User.id != user.id).exists():
        raise Stale(f"{user.email} is the only admin left.", next_step="Make somebody else an admin first.")


def _keep_an_admin(user: User, *, still_admin: bool) -> None:
    """In the caller's transaction."""
    if not still_admin:
        refuse_last_admin(user)


def checked(email: str, name: str, password: str, role: str) -> dict[str, str]:
    """The columns of an account, as far as it was typed. Raises InvalidInput."""
    email = address(email)
    check_role(role)
    passwords.check(password, email, email.partition("@")[0], name)
    return {"email": email, "name": name.strip()[:100], "role": role}


def address(typed: str) -> str:
    email = typed.strip().lower()
    if not EMAIL.fullmatch(email) or not email.isprintable():
        raise InvalidInput("This is not an e-mail address.", field="email")
    return email


def check_role(role: str) -> None:
    if role not in ROLES:
        raise InvalidInput("A role is viewer, technician or admin.", field="role")
