"""The official suite against Gatehouse, in both eras of the protocol: it plays the agent, `fixture.py` the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.doorman import doorman
from tests.conformance.suite import passed, required, suite
from tests.house import House, token_in

HERE = Path(__file__).parent
REVISIONS = ["2025-11-25", "2026-07-28"]
# The revision of the suite, and the era of the server behind Gatehouse.
PAIRS = [("2025-11-25", "new"), ("2025-11-25", "old"), ("2026-07-28", "new")]
# Beside what is required, and so without a say in the suite's exit code: we want these anyway.
WANTED = {
    "2025-11-25": {"json-schema-2020-12"},
    "2026-07-28": {
        "json-schema-2020-12",
        "http-header-validation",
        "http-custom-header-server-validation",
    },
}


@pytest.fixture(scope="module")
def addresses(house: House, key: str, fixture_urls: dict[str, str]) -> Iterator[dict[str, str]]:
    """Where the suite finds each fixture's tools under their own names, all of them on Auto."""
    for era, url in fixture_urls.items():
        house.run("add-server", url, "--name", f"suite-{era}", "--allow-private")
        open_all(house, f"suite-{era}")
    with doorman(house.url, key) as door:
        yield {era: f"{door}/mcp/s/suite-{era}" for era in fixture_urls}


def open_all(house: House, name: str) -> None:
    with house.browser() as http:
        page = http.get(f"/settings/integrations/{name}").text
        rows = re.findall(r'action="(/tools/\d+/policy)".*?name="seen" value="(\w*)"', page, re.DOTALL)
        assert len(rows) > 20
        for action, seen in rows:
            form = {"policy": "auto", "seen": seen, "csrf_token": token_in(page)}
            assert http.post(action, data=form).status_code == 200


@pytest.mark.parametrize(("revision", "era"), PAIRS)
def test_what_the_revision_requires_passes_but_for_our_list(
    addresses: dict[str, str], tmp_path: Path, revision: str, era: str
) -> None:
    own = HERE / f"own.{revision}.yml"
    ran = suite(
        "server", "--url", addresses[era], "--requirements", revision, "--timeout", "60000",
        "--expected-failures", str(own), "-o", "results", folder=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr
    assert passed(ran.stdout) >= required(revision, tmp_path) - {
        entry.partition(":")[0] for entry in entries(own)
    }
    assert passed(ran.stdout) >= WANTED[revision] | {"tools-call-with-progress"}


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_line_of_our_list_has_its_reason(revision: str) -> None:
    own = HERE / f"own.{revision}.yml"
    reasons = re.findall(r"^  - [\w:-]+ # \S.{8,}$", own.read_text(), re.MULTILINE)
    assert len(reasons) == len(entries(own)) > 0


def entries(own: Path) -> list[str]:
    """`scenario`, or `scenario:check` where the rest of a scenario must pass."""
    return re.findall(r"^ *- ([\w:-]+)", own.read_text(), re.MULTILINE)
