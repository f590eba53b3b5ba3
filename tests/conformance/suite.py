"""The official conformance suite as a command."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.serving import NODE_MODULES, node

SUITE = NODE_MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


def suite(*arguments: str, folder: Path, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """`suite("server", "--url", url, "--requirements", "2026-07-28", "-o", "results", folder=tmp_path)`."""
    command = [node(), str(SUITE), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
