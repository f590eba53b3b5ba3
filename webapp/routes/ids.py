"""Ids in addresses: whole numbers that the database can hold. Beyond them there is no such page."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.routing import IntegerConverter

LARGEST = 2**63 - 1


class RowId(IntegerConverter):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max": LARGEST} | kwargs)


def init_app(app: Flask) -> None:
    app.url_map.converters["int"] = RowId
