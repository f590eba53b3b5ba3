"""What people paste as a Server URL, and what becomes of it."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from webapp.errors import InvalidInput
from webapp.services.addresses import typed


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://mcp.example.com/mcp", "https://mcp.example.com/mcp"),
        ("  https://mcp.example.com/mcp\n", "https://mcp.example.com/mcp"),
        ("<https://mcp.example.com/mcp>", "https://mcp.example.com/mcp"),
        ("mcp.example.com/mcp", "https://mcp.example.com/mcp"),
        ("mcp.example.com:8443/mcp", "https://mcp.example.com:8443/mcp"),
        ("//mcp.example.com/mcp", "https://mcp.example.com/mcp"),
        ("HTTPS://MCP.Example.com/MCP", "https://mcp.example.com/MCP"),
        ("http://nas.lan:8080/mcp", "http://nas.lan:8080/mcp"),
        ("https://example.com/mcp?tenant=7", "https://example.com/mcp?tenant=7"),
        ("https://example.com/mcp#top", "https://example.com/mcp"),
        ("https://[fd00::1]/mcp", "https://[fd00::1]/mcp"),
    ],
)
def test_an_address_is_understood(text: str, url: str) -> None:
    assert typed(text).url == url


def test_what_was_changed_is_said() -> None:
    assert "https://" in typed("example.com").notes[0]
    assert "#" in typed("https://example.com/#top").notes[0]
    assert typed("https://example.com/mcp").notes == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing"),
        ("   ", "missing"),
        ("ftp://example.com/mcp", "ftp:"),
        ("file:///etc/passwd", "file:"),
        ("javascript:alert(1)", "javascript:"),
        ("stdio:npx server", "space"),
        ("https://ann:secret@example.com/mcp", "user name or password"),
        ("https://example.com/ mcp", "space"),
        ("https://example.com/\u200bmcp", "invisible"),
        ("https://", "no host"),
        ("https://exa mple.com", "space"),
        ("https://" + "a" * 3000, "longer"),
        ("https://[::1", "not an address"),
        ("https://example.com:99999/mcp", "not an address"),
    ],
)
def test_what_can_be_no_address_is_refused_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        typed(text)
    assert said in refusal.value.what
    assert refusal.value.field == "url"
    assert refusal.value.next_step
    assert "secret" not in str(refusal.value)


def test_nothing_in_an_address_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever names an address could read the settings of this machine in their own log."""
    monkeypatch.setenv("CANARY", "canary-of-the-environment")
    for text in ("$CANARY", "${CANARY}", "{{config.CANARY}}", "~", "$(id)", "`id`"):
        url = typed(f"https://desk.example.com/{text}?key={text}").url
        assert "canary-of-the-environment" not in url
        assert unquote(url) == f"https://desk.example.com/{text}?key={text}"
