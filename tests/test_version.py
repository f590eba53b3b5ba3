"""One version: the package's, the one on every page, and the one agents are told."""

from __future__ import annotations

import tomllib

from config import ROOT, VERSION


def test_the_version_is_the_packages() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
