"""Servers and policies as a file without secrets: YAML for people and for Git, always in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from webapp.errors import InvalidInput
from webapp.services import audit, patience
from webapp.services.audit import Actor
from webapp.services.holding import CEILINGS
from webapp.services.policies import POLICIES
from webapp.services.roles import needs
from webapp.store.database import snapshot, writing
from webapp.store.models import Connection, Integration, Tool
from webapp.upstream.exchange import shown_url

FORMAT = 1
LARGEST = 300_000  # some 7,000 tools; a form takes no more
HEAD = "# Servers and policies of a Gatehouse. No secrets are in here: after an import each server needs its sign-in.\n"
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
SIGN_INS = ("oauth", "bearer", "header", "none", "")
# YAML that this file has no use for, and that is good for mischief.
ODD_TOKENS = (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken, yaml.DirectiveToken)


@dataclass(frozen=True)
class ToolLine:
    policy: str
    second_person: bool = False


@dataclass(frozen=True)
class ServerLine:
    """`line`: where it stands in the file."""

    name: str
    url: str = ""
    title: str = ""
    sign_in: str = ""
    allow: tuple[dict[str, Any], ...] = ()
    new_tools: str = "approval"
    call_seconds: int | None = None
    tools: dict[str, ToolLine] = field(default_factory=dict)
    enabled: bool = True
    line: int = 0


@dataclass(frozen=True)
class Inventory:
    servers: list[ServerLine] = field(default_factory=list)
    builtins: list[ServerLine] = field(default_factory=list)


# --- writing


def write_down(actor: Actor) -> str:
    """The whole file. Logged."""
    needs(actor, "admin")
    with writing():
        audit.record("inventory.exported", actor, agents_notice=False)
    return text()


def text() -> str:
    with snapshot():
        rows = list(Integration.select().order_by(Integration.name))
        signed = {one.integration_id: one.kind for one in Connection.select()}
        servers = [_server(row, signed.get(row.id, "")) for row in rows if row.kind == "server"]
        builtins = [_builtin(row) for row in rows if row.kind == "builtin"]
    content = {"gatehouse": FORMAT, "servers": servers, "builtins": builtins}
    return HEAD + yaml.dump(content, Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=10_000)


def _server(row: Integration, sign_in: str) -> dict[str, Any]:
    """What is as it always is stays out, and so does what follows `?` in an address: it may be a secret."""
    facts = {
        "name": row.name, "title": row.title, "url": shown_url(row.url), "sign_in": sign_in, "new_tools": row.new_tools,
        "call_seconds": patience.of(row), "allow": sorted(row.allowances, key=str), "tools": _tools(row),
    }  # fmt: skip
    return {name: value for name, value in facts.items() if value not in (None, "", [])}


def _builtin(row: Integration) -> dict[str, Any]:
    return {"name": row.name, "enabled": row.state != "paused", "tools": _tools(row)}


def _tools(row: Integration) -> dict[str, Any]:
    known = Tool.select().where(Tool.integration == row, Tool.missing_since.is_null()).order_by(Tool.name)
    return {
        tool.name: {"policy": tool.policy, "second_person": True} if tool.second_person else tool.policy
        for tool in known
    }


# --- reading


def read(content: str) -> Inventory:
    """Raises InvalidInput with the line of what can't be used."""
    if len(content) > LARGEST:
        raise InvalidInput(
            "The file is too large.", field="file", next_step="It may have 300,000 characters at most."
        )
    try:
        _refuse_odd(content)
        root = yaml.compose(content, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line if error.problem_mark else 0) + 1
        raise _wrong(line, f"this is not YAML ({error.problem}).") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidInput(
            "This file is not YAML.", field="file", next_step="Choose a file of an export."
        ) from error
    given = _fields(root, "the file", {"gatehouse": _format, "servers": _servers, "builtins": _builtins})
    if "gatehouse" not in given:
        raise _wrong(1, "this is no file of Gatehouse: “gatehouse: 1” is missing.")
    return Inventory(given.get("servers", []), given.get("builtins", []))


def _refuse_odd(content: str) -> None:
    for token in yaml.scan(content, Loader=LOADER):
        if isinstance(token, ODD_TOKENS):
            raise _wrong(token.start_mark.line + 1, "anchors, aliases, tags and directives are not taken.")


def _fields(node: Node | None, where: str, known: dict[str, Callable[[Node], Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value, line in _pairs(node, where):
        if key not in known:
            fields = ", ".join(known)
            raise _wrong(line, f"there is no field “{key[:40]}” in {where}.", f"Known are: {fields}.")
        found[key] = known[key](value)
    return found


def _pairs(node: Node | None, where: str) -> Iterator[tuple[str, Node, int]]:
    if not isinstance(node, MappingNode):
        raise _wrong(_line(node), f"{where} must have fields, each with its value.")
    seen = set()
    for key, value in node.value:
        name = _text(key)
        if name in seen:
            raise _wrong(_line(key), f"“{name[:40]}” stands here for the second time.")
        seen.add(name)
        yield name, value, _line(key)


def _list(node: Node, what: Callable[[Node], Any]) -> list[Any]:
    if isinstance(node, ScalarNode) and node.tag.endswith(":null"):
        return []
    if not isinstance(node, SequenceNode):
        raise _wrong(_line(node), "a list is expected here.")
    return [what(one) for one in node.value]


def _text(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        raise _wrong(_line(node), "a text is expected here.")
    return str(node.value)


def _one_of(*choices: str) -> Callable[[Node], str]:
    def take(node: Node) -> str:
        value = _text(node)
        if value not in choices:
            known = ", ".join(one for one in choices if one)
            raise _wrong(_line(node), f"“{value[:40]}” can't stand here.", f"Use one of: {known}.")
        return value

    return take


def _yes(node: Node) -> bool:
    return _one_of("true", "false")(node) == "true"


def _number(lowest: int, highest: int) -> Callable[[Node], int]:
    def take(node: Node) -> int:
        value = _text(node)
        if not (value.isascii() and value.isdecimal() and len(value) < 6 and lowest <= int(value) <= highest):
            raise _wrong(_line(node), f"a number from {lowest} to {highest} is expected here.")
        return int(value)

    return take


def _format(node: Node) -> int:
    return _number(FORMAT, FORMAT)(node)


def _servers(node: Node) -> list[ServerLine]:
    return _named(node, "a server", {
        "title": _text, "url": _text, "sign_in": _one_of(*SIGN_INS), "new_tools": _one_of(*CEILINGS),
        "call_seconds": _number(patience.SHORTEST, patience.LONGEST),
        "allow": lambda found: tuple(_list(found, _allowance)), "tools": _tool_lines,
    }, needed=("name", "url"))  # fmt: skip


def _builtins(node: Node) -> list[ServerLine]:
    return _named(node, "a built-in", {"enabled": _yes, "tools": _tool_lines}, needed=("name",))


def _named(
    node: Node, where: str, known: dict[str, Callable[[Node], Any]], needed: tuple[str, ...]
) -> list[ServerLine]:
    found: dict[str, ServerLine] = {}
    for one in _list(node, lambda item: item):
        given = _fields(one, where, {"name": _text} | known)
        if missing := next((name for name in needed if not given.get(name)), None):
            raise _wrong(_line(one), f"“{missing}” is missing in {where}.")
        if given["name"] in found:
            raise _wrong(_line(one), f"“{given['name'][:40]}” stands here for the second time.")
        found[given["name"]] = ServerLine(**given, line=_line(one))
    return list(found.values())


def _allowance(node: Node) -> dict[str, Any]:
    known = {"host": _text, "port": _number(1, 65535), "network": _text, "cleartext": _yes}
    given = _fields(node, "“allow”", known)
    if missing := next((name for name in ("host", "port", "network") if name not in given), None):
        raise _wrong(_line(node), f"“{missing}” is missing in “allow”.")
    return {"cleartext": False} | given


def _tool_lines(node: Node) -> dict[str, ToolLine]:
    if isinstance(node, ScalarNode) and node.tag.endswith(":null"):
        return {}
    return {name: _tool_line(value) for name, value, _ in _pairs(node, "“tools”")}


def _tool_line(node: Node) -> ToolLine:
    if isinstance(node, ScalarNode):
        return ToolLine(_one_of(*POLICIES)(node))
    given = _fields(node, "a tool", {"policy": _one_of(*POLICIES), "second_person": _yes})
    if "policy" not in given:
        raise _wrong(_line(node), "“policy” is missing in a tool.")
    return ToolLine(**given)


def _line(node: Node | None) -> int:
    return int(node.start_mark.line) + 1 if node is not None else 1


def _wrong(line: int, what: str, next_step: str = "") -> InvalidInput:
    return InvalidInput(
        f"Line {line}: {what}", field="file", next_step=next_step or "Correct it and try again."
    )
