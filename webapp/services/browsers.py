"""Which browser on which system, by what it calls itself; for a person to know their own again."""

from __future__ import annotations

# The first that is named wins: most browsers name those they want to be taken for as well.
BROWSERS = {
    "Edg": "Edge", "OPR": "Opera", "SamsungBrowser": "Samsung Internet", "Firefox": "Firefox", "FxiOS": "Firefox",
    "CriOS": "Chrome", "Chrome": "Chrome", "Safari": "Safari",
}  # fmt: skip
SYSTEMS = {
    "iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "CrOS": "ChromeOS", "Windows": "Windows",
    "Mac OS X": "macOS", "Linux": "Linux",
}  # fmt: skip


def named(user_agent: str) -> str:
    """“Firefox on Windows”; what is not known is shown as it came."""
    browser = next((word for mark, word in BROWSERS.items() if mark in user_agent), "")
    system = next((word for mark, word in SYSTEMS.items() if mark in user_agent), "")
    return " on ".join(filter(None, (browser, system))) if browser else user_agent[:80]
