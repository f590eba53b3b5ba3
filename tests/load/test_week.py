"""A day of the week that `make week` lives through: what comes due by the clock is done, on a clock that is moved."""

from __future__ import annotations

import subprocess
import sys

from config import ROOT


def test_a_day_by_a_clock_that_is_moved() -> None:
    """Syncs, renewals, a backup, a new key, approvals that are decided and that expire; all calls are counted."""
    wish = ["--quiet", "1", "--days", "1", "--hours", "2", "--calls", "100"]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.load.week", *wish],
        cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "9 syncs, 1 new keys; The log is whole" in ran.stdout, ran.stdout
