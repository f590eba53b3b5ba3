"""The official conformance suite as a command, and its verdicts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.serving import NODE_MODULES, node

SUITE = NODE_MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


def suite(*arguments: str, folder: Path, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """`suite("server", "--url", url, "--requirements", "2026-07-28", "-o", "results", folder=tmp_path)`."""
    command = [node(), str(SUITE), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)


def passed(said: str) -> set[str]:
    """The scenarios without a failed check, by the suite's summary. A warning is no failure here."""
    return set(re.findall(r"^✓ ([\w-]+): \d+ passed, 0 failed", said, re.MULTILINE))


def required(revision: str, folder: Path) -> set[str]:
    """The scenarios that a server of this revision must pass."""
    listed = suite("list", "--requirements", revision, folder=folder)
    assert listed.returncode == 0, listed.stderr
    servers = listed.stdout.partition("Server scenarios")[2].partition("Client scenarios")[0]
    return set(re.findall(r"^ +- ([\w-]+)", servers, re.MULTILINE))
