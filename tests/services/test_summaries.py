"""What the log keeps of an answer: never what was said, but of an error its beginning, without what may be a key."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.services import summaries


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"content": [text("x")]}, "1 character of text"),
        (
            {"content": [text("confidential")], "structuredContent": {}},
            "12 characters of text, structured content",
        ),
        ({"content": [{"type": "image", "data": "AAAA"}, text("")]}, "image, 0 characters of text"),
        ({"content": [text("x")] * 7}, ", ".join(["1 character of text"] * 5) + ", 2 more"),
        ({"content": []}, "empty"),
        ({}, "empty"),
        ({"content": "nonsense"}, "empty"),
        ({"content": [None, 3, {"type": 7, "text": 9}]}, "7"),
    ],
)
def test_an_answer_is_told_by_its_form(result: dict[str, Any], told: str) -> None:
    assert summaries.of(result, "full") == {"result": told}


def test_the_beginning_of_an_error_is_kept_unless_only_digests_are() -> None:
    result = {"isError": True, "content": [text("There is no ticket T-9999. " * 20)]}
    assert summaries.of(result, "redacted")["error"].startswith("There is no ticket T-9999. There")
    assert summaries.of(result, "redacted")["error"].endswith("… (540 characters)")
    assert "error" not in summaries.of(result, "digest")


@pytest.mark.parametrize("before", [0, 150, 180, 195, 199])
def test_what_may_be_a_key_is_masked_wherever_it_stands(before: int) -> None:
    key = "sk-live-4f8a1c22d09b7e63aa51"
    said = "x " * (before // 2) + f"Bearer {key} is not allowed"
    kept = summaries.of({"isError": True, "content": [text(said)]}, "full")["error"]
    assert not any(key[start : start + 8] in kept for start in range(len(key) - 8))
