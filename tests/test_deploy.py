"""The files for a real box: what they name is there, and systemd takes them where it is at hand."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from config import ROOT, from_environment
from webapp.store.problems import TROUBLES

DEPLOY = ROOT / "docs" / "deploy"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def test_the_unit_starts_what_the_procfile_starts() -> None:
    (web,) = [line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web:")]
    unit = (DEPLOY / "gatehouse.service").read_text()
    assert f"ExecStart=/opt/gatehouse/.venv/bin/{web.removeprefix('web: ')}\n" in unit
    (settings,) = re.findall(r"^Environment=(.*)$", unit, re.M)
    config = from_environment(dict(one.split("=") for one in settings.split()))
    assert (config.data, config.backup_dir) == (
        Path("/var/lib/gatehouse"),
        Path("/var/lib/gatehouse-backups"),
    )


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("there is no systemd-analyze on this machine")
    unit = (DEPLOY / "gatehouse.service").read_text()
    here = tmp_path / "gatehouse.service"
    here.write_text(re.sub(r"/opt/gatehouse/\.venv/bin/gunicorn", "/bin/true", unit))
    done = subprocess.run([analyze, "verify", str(here)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "gatehouse.service:" not in done.stderr, done.stderr


def test_every_reason_is_explained() -> None:
    reasons = {reason for _, reason, *_ in TROUBLES}
    for path in ("store/secrets", "store/database", "store/problems", "services/condition", "closed"):
        reasons |= set(
            re.findall(r'reason(?:: str)? ?= ?"(\w+)"', (ROOT / "webapp" / f"{path}.py").read_text())
        )
        reasons |= set(re.findall(r'Trouble\(\s*"(\w+)"', (ROOT / "webapp" / f"{path}.py").read_text()))
    missing = [one for one in reasons - {"database"} if f"`{one}`" not in OPERATIONS]
    assert len(reasons) > 12 and missing == []


def test_every_metric_is_named() -> None:
    families = re.findall(r'_family\("(\w+)"', (ROOT / "webapp" / "services" / "metrics.py").read_text())
    families += re.findall(r'_family\(\s*"(\w+)"', (ROOT / "webapp" / "services" / "metrics.py").read_text())
    assert len(set(families)) > 10
    assert [one for one in set(families) if f"gatehouse_{one}" not in OPERATIONS] == []
