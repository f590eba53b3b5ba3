"""Every action that is logged can be told in a sentence."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from webapp.services import sentences
from webapp.store.models import Entry

ROOT = Path(__file__).parents[2]
ACTION = re.compile(
    r"(agent|approval|backup|connection|everything|integration|inventory|key|log|notices|policies|policy|second_step|session|sign_in|sign_on|standing|"
    r"tool|user)\.[a-z_]+"
)


def told(action: str, kind: str = "change", **columns: Any) -> str:
    """As a reader sees it, without the actor."""
    details = json.dumps(columns.pop("details", {}), default=str)
    sentence = sentences.tell(Entry(kind=kind, action=action, details=details, **columns))
    return "".join(piece.text for piece in sentence.pieces) + (f" – {sentence.word}" if sentence.word else "")


def logged_actions() -> set[str]:
    """Every string in the services that has the form of an action."""
    found = set()
    for path in (ROOT / "webapp" / "services").rglob("*.py"):
        if path.name != "sentences.py":
            strings = (n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant))
            found |= {text for text in strings if isinstance(text, str) and ACTION.fullmatch(text)}
    return found


def test_every_logged_action_has_a_sentence_and_no_sentence_is_left_over() -> None:
    assert logged_actions() == set(sentences.ACTIONS)


def test_a_sign_in_says_where() -> None:
    assert told("session.started", details={"provider": "Microsoft"}) == "signed in with Microsoft"
    assert told("session.started") == "signed in"


@pytest.mark.parametrize("action", sentences.ACTIONS)
def test_a_sentence_survives_details_that_are_missing(action: str) -> None:
    text = told(action, integration="desk", tool="mcp:desk:get")
    assert text
    assert "None" not in text
    assert "{" not in text


def test_a_policy_is_told_in_the_words_of_the_screen() -> None:
    text = told("policy.set", tool="mcp:halo:delete_ticket", details={"from": "approval", "to": "disabled"})
    assert text == "set mcp:halo:delete_ticket to Disabled"


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("ok", "called mcp:halo:create_ticket – done"),
        ("waiting", "asked for mcp:halo:create_ticket – waiting for approval"),
        ("denied", "asked for mcp:halo:create_ticket – denied"),
        ("refused", "asked for mcp:halo:create_ticket – refused"),
        ("unknown", "called mcp:halo:create_ticket – outcome unknown"),
        ("something new", "called mcp:halo:create_ticket – something new"),
    ],
)
def test_a_call_is_told_with_its_outcome(outcome: str, words: str) -> None:
    assert told("call", "call", tool="mcp:halo:create_ticket", outcome=outcome) == words


@pytest.mark.parametrize(
    ("action", "details", "words"),
    [
        ("integration.synced", {"added": 3, "missing": 1, "unchanged": 9}, "synced desk: 3 new, 1 gone"),
        ("integration.renamed", {"from": "auto", "to": "Help Desk"}, "renamed desk from auto to Help Desk"),
        (
            "integration.state",
            {"from": "connected", "to": "needs_sign_in"},
            "found desk in need of a sign-in; it was connected before",
        ),
        ("integration.disconnected", {"tools": 1}, "disconnected desk, and with it 1 tool"),
        ("agent.limited", {"agent": "B", "integrations": "all"}, "limited the agent B to every integration"),
        ("agent.limited", {"agent": "Bo", "integrations": []}, "limited the agent Bo to no integration"),
        (
            "agent.expiry",
            {"agent": "Claude", "expires_at": "2030-01-31 23:59:59.999999+00:00"},
            "let the key of Claude work until 2030-01-31",
        ),
        ("agent.expiry", {"agent": "Bo", "expires_at": None}, "let the key of Bo work without an end"),
        ("user.role", {"email": "t@x", "from": "viewer", "to": "admin"}, "changed t@x from viewer to admin"),
        ("an.action", {}, "an.action"),
    ],
)  # fmt: skip
def test_a_change_is_told_with_its_details(action: str, details: dict[str, Any], words: str) -> None:
    assert told(action, integration="desk", details=details) == words


def test_a_moment_within_a_sentence_is_in_the_readers_zone() -> None:
    details = json.dumps({"agent": "Bo", "until": "2026-03-29T01:30:00+00:00"})
    entry = Entry(kind="change", action="approval.extended", tool="mcp:desk:get", details=details)
    for zone, clock in (
        ("UTC", "01:30 UTC"),
        ("Europe/Amsterdam", "03:30 CEST"),
        ("America/New_York", "21:30 EDT"),
    ):
        text = "".join(piece.text for piece in sentences.tell(entry, ZoneInfo(zone)).pieces)
        assert text == f"left a call of mcp:desk:get by Bo open until {clock}"


def test_a_refused_change_says_so() -> None:
    assert told("session.refused", outcome="refused") == "could not sign in – refused"
