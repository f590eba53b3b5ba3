"""Calls a built-in tool as the gateway does, and checks that the answer is what its definition promises."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator

from webapp.builtin import BUILTINS, Context
from webapp.upstream.egress import Allowance, Egress


@dataclass(frozen=True)
class Answer:
    text: str
    is_error: bool
    data: dict[str, Any] = field(default_factory=dict)


def knowing(hosts: dict[str, str], *, at: dict[str, int] | None = None, **options: Any) -> Egress:
    """A guard whose names lead where `hosts` says; exceptions for host → port in `at`, http:// included."""
    allowances = [
        Allowance(host, port, f"{hosts[host]}/32", cleartext=True) for host, port in (at or {}).items()
    ]

    def resolve(host: str, port: int) -> list[str]:
        if host not in hosts:
            raise OSError("no such name")
        return [hosts[host]]

    return Egress(allowances, resolver=resolve, **options)


NOWHERE = Context(knowing({}))


async def ask(tool: str, context: Context = NOWHERE, **arguments: Any) -> Answer:
    built = BUILTINS["network"].tools[tool]
    result = json.loads(json.dumps(await built.run(arguments, context)))
    (block,) = result["content"]
    assert block["type"] == "text"
    assert block["text"]
    schema = built.definition.get("outputSchema")
    if schema and not result["isError"]:
        Draft202012Validator(schema).validate(result["structuredContent"])
    return Answer(block["text"], result["isError"], result.get("structuredContent", {}))


def ask_alone(tool: str, context: Context = NOWHERE, **arguments: Any) -> Answer:
    """For calls that need no server of the test's."""
    return asyncio.run(ask(tool, context, **arguments))
