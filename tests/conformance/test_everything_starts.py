"""The ground under the other tests here: npm's server and suite run, without Gatehouse in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mcp import Client

from tests.conformance.suite import suite


def test_the_sdk_client_lists_and_calls_its_tools(everything_url: str) -> None:
    async def talk() -> tuple[set[str], object]:
        async with Client(everything_url, mode="legacy") as client:
            listing = await client.list_tools()
            answer = await client.call_tool("echo", {"message": "good morning"})
            return {tool.name for tool in listing.tools}, answer.content[0]

    names, first = asyncio.run(talk())
    assert {"echo", "get-sum", "get-tiny-image"} <= names
    assert "good morning" in str(first)


def test_the_official_suite_knows_both_eras(tmp_path: Path) -> None:
    for revision in ("2025-11-25", "2026-07-28"):
        listed = suite("list", "--requirements", revision, folder=tmp_path)
        assert listed.returncode == 0, listed.stderr
        assert "tools-list" in listed.stdout
