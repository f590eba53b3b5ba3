"""What browsers call themselves, and what a person calls them."""

from __future__ import annotations

import pytest

from webapp.services.browsers import named

CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 {}Safari/537.36{}"
WINDOWS, LINUX = "Windows NT 10.0; Win64; x64", "X11; Linux x86_64"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) {}"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (CHROME.format(LINUX, "", ""), "Chrome on Linux"),
        (CHROME.format(WINDOWS, "", " Edg/156.0.0.0"), "Edge on Windows"),
        (CHROME.format("Linux; Android 10; K", "Mobile ", ""), "Chrome on Android"),
        (CHROME.format("Macintosh; Intel Mac OS X 10_15_7", "", " OPR/120.0.0.0"), "Opera on macOS"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Windows"),
        (IPHONE.format("Version/19.1 Mobile/15E148 Safari/604.1"), "Safari on iPhone"),
        (IPHONE.format("CriOS/156.0 Mobile/15E148 Safari/604.1"), "Chrome on iPhone"),
        ("curl/8.5.0", "curl/8.5.0"), ("x" * 200, "x" * 80), ("", ""),
    ],
)  # fmt: skip
def test_a_browser_is_told_by_its_name(user_agent: str, name: str) -> None:
    assert named(user_agent) == name
