"""What comes out the same for every app is made once for all tests: templates, and the functions that build addresses.

An app of its own for each test would spend half of its time on them. And the authorities that a test's own HTTP client
believes are read once, not 30 ms long for each client: nearly all speak plain HTTP. Gatehouse's clients have theirs
from webapp.upstream.egress and are not concerned.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable
from typing import Any

import httpx2._transports.default
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from werkzeug.routing import Rule

# Whoever comes first makes the folder and removes it; the processes started from there find it.
FOLDER = "GATEHOUSE_TEST_TEMPLATES"
Builder = Callable[..., tuple[str, str]]
_compile_builder = Rule._compile_builder
_builders: dict[str, Builder] = {}


def _builder(rule: Rule, append_unknown: bool = True) -> Builder:
    """It is given its rule when it is called, so equal rules may share it."""
    converters = sorted((name, str(type(one))) for name, one in rule._converters.items())
    known = repr((rule.rule, rule._trace, rule.defaults, converters, append_unknown))
    if known not in _builders:
        _builders[known] = _compile_builder(rule, append_unknown)
    return _builders[known]


if FOLDER not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="gatehouse-templates-")
    os.environ[FOLDER] = _folder.name
_options: dict[str, Any] = {
    **Flask.jinja_options,
    "bytecode_cache": FileSystemBytecodeCache(os.environ[FOLDER]),
}
Flask.jinja_options = _options
Rule._compile_builder = _builder  # type: ignore[method-assign]
_transports: Any = httpx2._transports.default
_transports.create_ssl_context = functools.cache(_transports.create_ssl_context)
