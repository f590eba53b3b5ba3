"""What a built-in is made of: its tools, what they are handed, and how they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webapp.builtin.results import failed
from webapp.errors import EgressDenied, Refused, UpstreamError
from webapp.upstream.egress import Egress

SECONDS = 10.0
USUAL_PORTS = frozenset({443})


@dataclass(frozen=True)
class Context:
    """What one call may use. `name_servers` are (address, port); none means those of the system."""

    egress: Egress
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    name_servers: tuple[tuple[str, int], ...] = ()
    seconds: float = SECONDS


Work = Callable[[dict[str, Any], Context], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class BuiltinTool:
    """`definition` is the MCP tool; `work` gets arguments that fit its input schema."""

    definition: dict[str, Any]
    work: Work
    too_slow: str = "It took too long: there was no answer within {seconds:g} seconds. Try again later."

    async def run(self, arguments: dict[str, Any], context: Context) -> dict[str, Any]:
        """An MCP tool result. What goes wrong is told in it (`isError`), never raised."""
        # Not before: its library takes long to load, most of all where the formats of jsonschema are installed.
        from webapp.builtin.arguments import mistake as mistake_in

        if mistake := mistake_in(arguments, self.definition["inputSchema"]):
            return failed(mistake)
        try:
            async with asyncio.timeout(context.seconds):
                return await self.work(arguments, context)
        except TimeoutError:
            return failed(self.too_slow.format(seconds=context.seconds))
        except EgressDenied as denied:
            return failed(denied.for_agent)
        except UpstreamError as error:
            return failed(error.for_agent)
        except Refused as refusal:
            return failed(" ".join(part for part in (refusal.what, refusal.why, refusal.next_step) if part))


@dataclass(frozen=True)
class Secret:
    """Something an admin enters once for a built-in. `check` raises InvalidInput."""

    name: str
    title: str
    hint: str
    check: Callable[[str], None]


@dataclass(frozen=True)
class Builtin:
    """`ports` are what its tools may connect to: its guard is `Egress(…, ports=builtin.ports)`."""

    name: str
    title: str
    description: str
    tools: dict[str, BuiltinTool]
    secrets: tuple[Secret, ...] = ()
    ports: frozenset[int] = USUAL_PORTS
