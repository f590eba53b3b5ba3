"""The list of what a release is made of says all of it, with its sums, and is valid."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.sbom import LOCK, VENDOR, main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("sbom") / "sbom.json"
    main(file)
    return file.read_text()


def test_it_says_everything_with_its_sums(made: str) -> None:
    bom = json.loads(made)
    listed = {(one["name"], one["version"]): json.dumps(one) for one in bom["components"]}
    lock = LOCK.read_text()
    pinned = re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", lock, re.M)
    assert pinned and all(pin in listed for pin in pinned)
    assert all(digest in "".join(listed.values()) for digest in re.findall(r"sha256:([0-9a-f]{64})", lock))
    sums = [line.split(maxsplit=1) for line in (VENDOR / "SHA256SUMS").read_text().splitlines()]
    found = {one["name"]: one["hashes"][0]["content"] for one in bom["components"] if one["type"] == "file"}
    assert found == {f"static/vendor/{name}": digest for digest, name in sums}
    needs = {one["ref"]: one["dependsOn"] for one in bom["dependencies"]}
    reached, waiting = set(), ["root-component"]
    while waiting:
        reached.add(ref := waiting.pop())
        waiting += [one for one in needs[ref] if one not in reached]
    assert reached == set(needs), "everything is there because something needs it"


def test_two_runs_are_the_same(made: str, tmp_path: Path) -> None:
    main(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == made
