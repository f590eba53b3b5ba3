"""The key file is lost: what it sealed goes, all else stays, and nothing is left that a page would stumble over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.authority import Service, authority
from tests.databases import tamper
from tests.house import PASSWORD, House
from tests.services.sealed import keep, opened, started
from tests.signing_in import connected, sign_in
from webapp.errors import Refused, Stale
from webapp.services import (
    accounts,
    agents,
    audit,
    authenticator,
    intents,
    keys,
    lost_key,
    second_step,
    segments,
    tokens,
)
from webapp.services.audit import COMMAND
from webapp.services.throttle import Limit
from webapp.store.database import writing
from webapp.store.fields import Sealed, now
from webapp.store.models import (
    MODELS,
    Approval,
    Connection,
    Entry,
    Integration,
    NoticeChannel,
    SignOn,
    User,
    database,
)
from webapp.store.secrets import KeyProblem, read_keys, vault, write_keys


@pytest.fixture
def service() -> Iterator[Service]:
    with authority() as one:
        yield one


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    started(tmp_path / "data")
    with writing():
        audit.record("user.renamed", COMMAND)
    yield tmp_path / "data"
    database.close()


def lose(data: Path) -> None:
    (data / "secret.key").unlink()


def forget(data: Path) -> lost_key.Forgotten:
    return lost_key.forget(data, data / "backups", COMMAND)


def sealed_columns() -> list[Any]:
    return [field for model in MODELS for field in model._meta.sorted_fields if isinstance(field, Sealed)]


def what_no_key_opens() -> list[str]:
    found = []
    for field in sealed_columns():
        for row in field.model.select().where(field.is_null(False)):
            if not vault.is_newest(bytes(getattr(row, field.name))):
                found.append(str(field))
    return found


def test_every_sealed_column_has_been_thought_of() -> None:
    """A new one fails here: say in services/lost_key.py what becomes of it."""
    assert {f"{field.model.__name__}.{field.name}" for field in sealed_columns()} == {
        "SignOn.secrets", "Authenticator.secret", "Integration.settings_sealed", "Connection.secrets",
        "OAuthClient.secret", "SignIn.verifier", "Grant.tokens", "Word.said", "Approval.arguments",
        "Approval.asked_with", "Approval.result", "NoticeChannel.secret",
    }  # fmt: skip


def test_what_stands_for_a_lost_secret_is_nothing_that_a_page_stumbles_over(data: Path) -> None:
    """A typed token, a built-in's webhook, a mail password, a sign-on under way."""
    typed = Integration.create(kind="server", name="typed", title="typed", state="connected")
    headers = [{"name": "X-Key", "template": "{secret}"}]
    Connection.create(
        integration=typed, kind="header", headers=headers,
        secrets=Connection.secrets.seal(str(typed.id), ["canary"]),
    )  # fmt: skip
    Integration.update(settings_sealed=Integration.settings_sealed.seal(str(typed.id), {})).execute()
    NoticeChannel.create(kind="mail", secret=NoticeChannel.secret.seal("mail", "canary"))
    SignOn.create(
        id="one", provider="p", purpose="sign_in", browser_hash="b", state_hash="s", request={}, expires_at=now(),
        secrets=SignOn.secrets.seal("one", {}),
    )  # fmt: skip
    lose(data)
    assert forget(data) == lost_key.Forgotten(servers=1, second_steps=0, approvals=0, channels=1)
    started(data)
    assert what_no_key_opens() == [] and SignOn.select().count() == 0
    kept = Connection.get(Connection.integration == typed)
    assert Connection.secrets.open(str(typed.id), kept.secrets) == [""] and kept.headers == headers
    assert Integration.get_by_id(typed.id).state_reason == lost_key.WHY
    channel = NoticeChannel.get()
    assert not channel.on and "lost with the key" in channel.problem


def test_nothing_is_left_that_only_the_lost_key_opens(data: Path, service: Service) -> None:
    notes = connected(service)
    ann = accounts.create_user("ann@example.com", "Ann", PASSWORD, "admin", COMMAND)
    offer = second_step.begin(ann)
    second_step.confirm(
        ann, authenticator.totp(offer.secret).generate(time.time()).decode(), COMMAND, Limit(10, 900)
    )
    _, key = agents.create("claude", COMMAND)
    keep("waiting")
    lose(data)
    with pytest.raises(KeyProblem):
        started(data)
    assert forget(data) == lost_key.Forgotten(servers=1, second_steps=1, approvals=1, channels=0)
    started(data)
    assert what_no_key_opens() == []
    assert Approval.get_by_id("waiting").state == "withdrawn" and opened("waiting") == lost_key.GONE
    assert Integration.get_by_id(notes.id).state == "needs_sign_in"
    with pytest.raises(Refused, match="Sign-in expired"):
        tokens.present(Integration.get_by_id(notes.id))
    assert not authenticator.is_on(User.get_by_id(ann.id))
    assert agents.hash_key(key) == agents.by_name("claude").key_hash, "agents go on with their keys"
    row = sign_in(service, Integration.get_by_id(notes.id))
    assert row.ended == "done" and tokens.present(Integration.get_by_id(notes.id)).headers


def test_the_log_stays_and_another_chain_goes_on_from_it(data: Path) -> None:
    lose(data)
    forget(data)
    with writing():
        audit.record("user.renamed", COMMAND)
    assert audit.verify() == audit.Verification(2, audit.head().hex(), unchecked=1)
    keys.rotate(data, COMMAND)
    started(data)
    assert audit.verify().intact and audit.verify().rows == 3
    tamper("UPDATE entry SET actor = 'somebody else' WHERE id = 2")
    assert audit.verify().first_bad == 2


def test_a_log_under_two_keys_can_be_shortened(data: Path, tmp_path: Path) -> None:
    lose(data)
    forget(data)
    with writing():
        for _ in range(3):
            audit.record("user.renamed", COMMAND)
    assert segments.remove_sealed() == 0, "what nobody can check is not removed before its time"
    last = Entry.select().order_by(Entry.id.desc()).get()
    segments.seal_before(last.at, COMMAND, tmp_path / "log")
    while segments.remove_sealed():
        pass
    assert audit.verify().intact and audit.verify().unchecked == 0
    assert len(list((tmp_path / "log").iterdir())) == 2, (
        "the rows of before are kept too, in a file of their own"
    )


def test_a_key_that_turns_up_opens_the_copy_that_was_made(data: Path, tmp_path: Path) -> None:
    keep("one")
    kept = (data / "secret.key").rename(tmp_path / "kept")
    forget(data)
    (copy,) = (data / "backups").iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    kept.replace(data / "secret.key")
    started(data, f"sqlite:///{copy}")
    assert opened("one") == "canary-one" and audit.verify().unchecked == 0


def test_a_key_file_of_somebody_else_is_kept_beside_the_new_one(data: Path) -> None:
    strange = [Fernet.generate_key()]
    write_keys(data / "secret.key", strange)
    forget(data)
    (kept,) = data.glob("secret.key.before-*")
    assert read_keys(kept) == strange != read_keys(data / "secret.key")


def test_where_no_key_is_lost_nothing_is_forgotten(data: Path) -> None:
    keep("one")
    before = read_keys(data / "secret.key")
    with pytest.raises(Stale, match="no secret is lost"):
        forget(data)
    (data / "secret.key").chmod(0o640)
    with pytest.raises(KeyProblem, match="can be read by others"):
        forget(data)
    (data / "secret.key").chmod(0o600)
    assert read_keys(data / "secret.key") == before and opened("one") == "canary-one"


def test_under_a_running_gatehouse_nothing_is_forgotten(data: Path) -> None:
    """It has the key in its memory still."""
    with writing():
        intents.beat("a worker")
    lose(data)
    with pytest.raises(Stale, match="is running"):
        forget(data)
    assert not (data / "secret.key").exists()


def test_cut_off_anywhere_it_is_finished_by_running_it_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep("one")
    lose(data)
    for step in ("migrate", "_forget", "audit.begin_anew"):

        def cut(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(f"webapp.services.lost_key.{step}", cut)
        with pytest.raises(KeyboardInterrupt):
            forget(data)
        monkeypatch.undo()
    forget(data)
    started(data)
    assert what_no_key_opens() == [] and audit.verify().intact and audit.verify().unchecked == 1


def test_the_command_is_there_where_the_others_say_why_they_are_not(data: Path) -> None:
    house = House("", data, {"GATEHOUSE_DATA": str(data)})
    lose(data)
    assert "is missing" in house.run("servers", check=False).stderr
    asked = house.run("forget-secrets", check=False)
    assert asked.code == 1 and "add --yes" in asked.stderr and not (data / "secret.key").exists()
    assert "A new key was made" in house.run("forget-secrets", "--yes").stdout
    assert house.run("servers").code == 0
    assert "1 older ones of a key that was lost" in house.run("verify-log").stdout
