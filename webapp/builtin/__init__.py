"""The tools that ship with Gatehouse."""

from __future__ import annotations

from webapp.builtin.network import NETWORK
from webapp.builtin.tool import Builtin, BuiltinTool, Context, Secret

__all__ = ["BUILTINS", "Builtin", "BuiltinTool", "Context", "Secret"]

BUILTINS: dict[str, Builtin] = {NETWORK.name: NETWORK}
