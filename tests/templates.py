"""Templates are compiled once for all tests: an app of its own for each would spend a third of its time on it."""

from __future__ import annotations

import tempfile

from flask import Flask
from jinja2 import FileSystemBytecodeCache

_folder = tempfile.TemporaryDirectory(prefix="gatehouse-templates-")
Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": FileSystemBytecodeCache(_folder.name)}
