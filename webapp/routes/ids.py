"""Ids in addresses: numbers that the database can't hold become its largest, which no row will ever have."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import IntegerConverter

LARGEST = 2**63 - 1
DIGITS = 20


class RowId(IntegerConverter):
    def to_python(self, value: str) -> int:
        """Thousands of digits are not even read: Python refuses to."""
        return min(int(value), LARGEST) if len(value) < DIGITS else LARGEST


def init_app(app: Flask) -> None:
    app.url_map.converters["int"] = RowId
