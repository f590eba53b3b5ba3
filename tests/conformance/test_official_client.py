"""The official suite as servers and sign-in services, with Gatehouse's own modules as their client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance import turns
from tests.conformance.clients import clients
from tests.conformance.suite import passed, required, suite

OLD = ["auth/2025-03-26-oauth-metadata-backcompat", "auth/2025-03-26-oauth-endpoint-fallback"]
# Beside what is required, and so without a say in the suite's exit code: we want these anyway.
WANTED = {
    "2025-11-25": {"json-schema-2020-12-preservation"},
    "2026-07-28": {"json-schema-2020-12-preservation"},
}
# All scenarios together, as they take turns.
SECONDS = 900


def client(*what: str, folder: Path) -> subprocess.CompletedProcess[str]:
    with clients(SECONDS) as socket:
        command = f"{sys.executable} -I -S {turns.__file__} {socket}"
        return suite(
            "client", "--command", command, "--timeout", str(SECONDS * 1000), "-o", "results", *what,
            folder=folder, seconds=SECONDS + 60,
        )  # fmt: skip


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_what_the_revision_requires_of_a_client_passes(revision: str, tmp_path: Path) -> None:
    ran = client("--requirements", revision, folder=tmp_path)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    assert passed(ran.stdout) >= required(revision, tmp_path, side="Client") | WANTED[revision]


@pytest.mark.parametrize("scenario", OLD)
def test_servers_of_the_first_oauth_revision_are_signed_in_to(scenario: str, tmp_path: Path) -> None:
    ran = client("--scenario", scenario, "--spec-version", "2025-03-26", folder=tmp_path)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
