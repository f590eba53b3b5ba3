"""Ids and names in addresses."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import IntegerConverter, PathConverter

LARGEST = 2**63 - 1
DIGITS = 20


class RowId(IntegerConverter):
    """Numbers that the database can't hold become its largest, which no row will ever have."""

    def to_python(self, value: str) -> int:
        """Thousands of digits are not even read: Python refuses to."""
        return min(int(value), LARGEST) if len(value) < DIGITS else LARGEST


class ToolName(PathConverter):
    """A server names its tools as it likes: `../../x`, `a//b` or `get_ticket/try` would lead somewhere else. So a
    slash is written in two steps, which neither browsers nor proxies undo."""

    def to_url(self, value: str) -> str:
        return super().to_url(value.replace("%", "%25").replace("/", "%2F"))

    def to_python(self, value: str) -> str:
        return value.replace("%2F", "/").replace("%25", "%")


def init_app(app: Flask) -> None:
    app.url_map.converters["int"] = RowId
    app.url_map.converters["tool"] = ToolName
