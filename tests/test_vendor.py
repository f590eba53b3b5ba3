"""Other people's files are the ones we took, and no page asks the browser for what the policy forbids."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VENDOR = ROOT / "static" / "vendor"
OURS = {"README", "SHA256SUMS"}
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
PYTHON = sorted((ROOT / "webapp").rglob("*.py"))
SHEETS_AND_SCRIPTS = sorted(
    path
    for path in [*ROOT.glob("static/*"), *ROOT.glob("templates/**/*.css")]
    if path.suffix in {".css", ".js", ".svg"}
)

# What the browser would refuse under our policy, or what would undo the escaping of other people's text.
FORBIDDEN = {
    "outside host": re.compile(r"""\b(src\w*|href|\w*action|hx-\w+)\s*=\s*["']?\s*(https?:)?//""", re.I),
    "inline script": re.compile(r"<script\b(?![^>]*\bsrc\s*=)", re.I),
    "inline style": re.compile(r"<style\b|<[^>]*\sstyle\s*=", re.I),
    "event handler": re.compile(r"""<[^>]*\s(?:on[a-z]+|hx-on[:\w-]*)\s*=""", re.I),
    "javascript: address": re.compile(r"""=\s*["']?\s*(?:javascript|js|data):""", re.I),
    "hx trigger filter": re.compile(r"""\bhx-trigger\s*=\s*["'][^"']*\["""),
    "unescaped text": re.compile(r"\|\s*safe\b|\bautoescape\s+false\b|\bMarkup\("),
}  # fmt: skip


def summed() -> dict[str, str]:
    lines = (line.split(maxsplit=1) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    return {name: digest for digest, name in lines}


def faults(text: str) -> list[str]:
    text = re.sub(r"\{#.*?#\}|<!--.*?-->", "", text, flags=re.S)
    return [name for name, pattern in FORBIDDEN.items() if pattern.search(text)]


def test_vendored_files_are_unchanged_and_complete() -> None:
    files = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()} - OURS
    found = {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in files}
    assert found == summed()


def test_every_vendored_folder_has_a_version_and_a_licence() -> None:
    for folder in (path for path in VENDOR.iterdir() if path.is_dir()):
        assert re.search(r"@\d+\.\d+\.\d+$", folder.name)
        assert list(folder.glob("LICENSE*")), folder.name


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_templates_hold_nothing_that_the_policy_forbids(path: Path) -> None:
    assert faults(path.read_text()) == []


@pytest.mark.parametrize("path", SHEETS_AND_SCRIPTS, ids=lambda path: path.name)
def test_sheets_and_scripts_load_nothing_from_elsewhere(path: Path) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", path.read_text()))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\beval\(|\bnew Function\(|\.innerHTML\s*=|\.outerHTML\s*=", path.read_text())


def test_no_python_code_marks_text_as_safe() -> None:
    """A literal that stands there is ours; `format` and `join` of it escape what is put in."""
    unsafe = re.compile(r"""\bMarkup\((?!["'])|\|\s*safe\b""")
    assert [path.name for path in PYTHON if unsafe.search(path.read_text())] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("outside host", '<script src="https://cdn.example.com/x.js"></script>'),
        ("outside host", "<img alt='' src=//example.com/pixel>"),
        ("inline script", "<script>alert(1)</script>"),
        ("inline style", '<p style="color: red">'),
        ("inline style", "<style>p {}</style>"),
        ("event handler", "<button type=button\n onclick=go()>"),
        ("event handler", '<div hx-on:click="go()">'),
        ("javascript: address", '<a href="javascript:go()">'),
        ("hx trigger filter", """<div hx-trigger="click[ctrlKey]">"""),
        ("unescaped text", "{{ tool.description | safe }}"),
    ],
)
def test_a_breach_is_noticed(name: str, text: str) -> None:
    assert name in faults(text)


def test_ordinary_markup_passes() -> None:
    page = """{# onclick= #}<a href="/tools" class="on">on=1</a> <script src="{{ x }}" defer></script>
    <input placeholder="https://example.com/mcp" hx-post="/tools/1" hx-trigger="change, keyup delay:300ms">"""
    assert faults(page) == []
