"""Each protection that the page names has its test, under the name that the page says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


@cache
def named_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda part: part)
def test_a_test_that_the_page_names_is_there(path: str, name: str) -> None:
    assert name in named_in(path)


def test_no_name_is_written_in_another_way() -> None:
    """Else it would be looked up by nobody."""
    assert PAGE.count("tests/") == len(NAMED) > 100


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "|--" not in line]
    bare = [row for row in rows if "::" not in row and not row.startswith(("| What", "| Known as"))]
    assert bare == []
