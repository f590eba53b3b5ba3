"""Accounts whose people sign in at a provider. One account has one way in: a password here, or a provider."""

from __future__ import annotations

from config import GUID, Provider
from webapp.errors import Forbidden, InvalidInput, Stale
from webapp.services import accounts, audit, providers, sessions
from webapp.services.audit import Actor
from webapp.services.providers import Person
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.models import LinkedAccount, User

LONGEST_SUBJECT = 255


def known(provider: Provider, person: Person) -> User | None:
    """By what never changes at the provider; never by an address."""
    found: LinkedAccount | None = (
        LinkedAccount.select(LinkedAccount, User)
        .join(User)
        .where(LinkedAccount.issuer == provider.issuer, LinkedAccount.subject == person.subject)
        .first()
    )
    return found.user if found else None


def admitted(provider: Provider, person: Person, ip: str) -> User:
    """The account of somebody who comes from the provider, made now if they are new, with the role that they have
    there. Raises Forbidden or Stale."""
    with writing():
        user = known(provider, person)
        if user is None and person.role:
            return _join(provider, person, ip)
    if user is not None:
        check(user, provider, person)
        return accounts.get_user(user.id)
    raise _no_role(provider)


def check(user: User, provider: Provider, person: Person) -> None:
    """Whether they may still come in, and as what: the provider's word is taken over each time. Whoever lost their
    role is signed out everywhere. Raises Forbidden."""
    if user.disabled_at:
        raise Forbidden(
            "Your account here is closed.", why="An admin of Gatehouse closed it.", next_step="Ask an admin."
        )
    if not person.role:
        _out(user)
        raise _no_role(provider)
    if person.role != user.role:
        _follow(user, provider, person.role)


def link(user: User, provider: Provider, subject: str, called: str, actor: Actor) -> None:
    """From here on they sign in there, and no longer with a password. Raises Stale or InvalidInput."""
    subject = _subject(provider, subject)
    with writing():
        if LinkedAccount.of(user):
            raise Stale(f"{user.email} is linked already.", next_step="A new password ends that link.")
        if LinkedAccount.get_or_none(issuer=provider.issuer, subject=subject):
            raise Stale(
                f"Somebody else here is linked to that account at {provider.name}.",
                next_step="Sign in there with another account.",
            )
        LinkedAccount.create(user=user, issuer=provider.issuer, subject=subject, called=called)
        User.update(password_hash="").where(User.id == user.id).execute()
        sessions.sign_out_everywhere(user)
        details = {"email": user.email, "provider": provider.name, "subject": subject}
        audit.record("sign_on.linked", actor, details=details, agents_notice=False)


def link_by_admin(user: User, provider: Provider, subject: str, actor: Actor) -> None:
    needs(actor, "admin")
    link(user, provider, subject, "", actor)


def where_from() -> dict[int, str]:
    """The provider's name, by the id of each person who signs in at one."""
    return {one.user_id: providers.name_of(one.issuer) for one in LinkedAccount.select()}


def _subject(provider: Provider, text: str) -> str:
    """As an admin may type it."""
    if provider.tenant:
        text = text.strip().lower()
        if GUID.fullmatch(text):
            return text
        raise InvalidInput(
            "This is no object ID.", field="subject", why="One has 32 digits with dashes.",
            next_step="Copy it from the person’s page in the Entra admin center.",
        )  # fmt: skip
    if text.strip() and len(text) <= LONGEST_SUBJECT and text.isprintable():
        return text.strip()
    raise InvalidInput("This is no id of somebody at a provider.", field="subject")


def _join(provider: Provider, person: Person, ip: str) -> User:
    """In the caller's transaction."""
    if not person.email:
        raise Forbidden(
            f"{provider.name} gave no e-mail address for you.", why="Gatehouse would not know what to call you.",
            next_step="Ask whoever looks after the provider to send one (the claim email or preferred_username).",
        )  # fmt: skip
    if User.get_or_none(User.email == person.email):
        raise Stale(
            f"{person.email} has an account here that is not linked to {provider.name}.",
            why="The same address does not prove that it is the same person.",
            next_step="Sign in as before and link it under Your account, or ask an admin to link it.",
        )
    user: User = User.create(email=person.email, name=person.name[:100], role=person.role, password_hash="")
    LinkedAccount.create(user=user, issuer=provider.issuer, subject=person.subject, called=person.email)
    actor = Actor("user", user.email, user.id, user.role, ip)
    details = {"role": user.role, "provider": provider.name, "subject": person.subject}
    audit.record("sign_on.joined", actor, details=details, agents_notice=False)
    return user


def _follow(user: User, provider: Provider, role: str) -> None:
    try:
        accounts.follow_role(user, role, provider.name)
    except Stale as last:
        _out(user)
        raise Forbidden(
            f"{provider.name} says that you are {role} now, but you are the only admin left here.",
            why="Nobody could look after Gatehouse any more.",
            next_step="Give somebody the role admin there and let them sign in first, or make an admin with "
            "the command create-user.",
        ) from last


def _out(user: User) -> None:
    with writing():
        sessions.sign_out_everywhere(user)


def _no_role(provider: Provider) -> Forbidden:
    return Forbidden(
        "You have no role in Gatehouse.", why=f"{provider.name} knows you, but gave you none of ours.",
        next_step="Ask whoever looks after your accounts for a role, then sign in again.",
    )  # fmt: skip
