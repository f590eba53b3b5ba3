"""The official conformance suite as a command, and its verdicts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Literal

from tests.serving import NODE_MODULES, node

SUITE = NODE_MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


def suite(
    *arguments: str, folder: Path, seconds: float = 900, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`suite("server", "--url", url, "--requirements", "2026-07-28", "-o", "results", folder=tmp_path)`."""
    return subprocess.run(
        [node(), str(SUITE), *arguments],
        cwd=folder, env=env, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip


def passed(said: str) -> set[str]:
    """The scenarios without a failed check, by the suite's summary. A warning is no failure here."""
    return set(re.findall(r"^✓ ([\w/-]+): \d+ passed, 0 failed", said, re.MULTILINE))


def required(revision: str, folder: Path, side: Literal["Server", "Client"] = "Server") -> set[str]:
    """The scenarios that a server, or a client, of this revision must pass."""
    listed = suite("list", "--requirements", revision, folder=folder)
    assert listed.returncode == 0, listed.stderr
    scenarios = re.split(r"\n\s*\n", listed.stdout.partition(f"{side} scenarios")[2], maxsplit=1)[0]
    return set(re.findall(r"^ +- ([\w/-]+)", scenarios, re.MULTILINE))
