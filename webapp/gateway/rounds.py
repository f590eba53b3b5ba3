"""A server of 2026-07-28 ends its answer to ask something; a program of the handshake era is asked while it waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mcp_types import MISSING_REQUIRED_CLIENT_CAPABILITY

from webapp.errors import RpcError, UpstreamError
from webapp.gateway import sessions
from webapp.gateway.voice import ELICITATION, Voice, fits, named
from webapp.services.agent_errors import about
from webapp.upstream.envelope import INPUT_REQUIRED

MOST_ROUNDS = 10
# What the words of the protocol are in words.
THINGS = {
    "elicitation/create": "an answer from its user",
    "sampling/createMessage": "an answer from its model",
    "roots/list": "the list of its folders",
}


class NeedsInput(UpstreamError):
    """The call can't go on: what the server wants to know nobody can be asked."""

    agent_kind = "needs_input"

    def __init__(self, thing: str) -> None:
        super().__init__(f"The server wants {thing}, which this agent's program can't be asked for.")
        self.trouble = f"wants {thing}, and this program can't be asked for that during a call."


async def to_the_end(
    result: dict[str, Any], voice: Voice | None, again: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """The answer after all rounds; `again` makes the same call with what was answered. Raises NeedsInput."""
    for _ in range(MOST_ROUNDS):
        if result.get("resultType") != INPUT_REQUIRED:
            return result
        another = {"inputResponses": await _answers(result.get("inputRequests"), voice)}
        if "requestState" in result:
            another["requestState"] = result["requestState"]
        result = await again(another)
    raise NeedsInput("one answer after the other")


def passed_on(result: dict[str, Any], capabilities: dict[str, Any] | None, server: str) -> dict[str, Any]:
    """The same for a program of 2026-07-28, with the server's name. Raises where it would be asked what it never said
    it can be asked."""
    offers = sessions.capabilities(sessions.letters(capabilities))
    requests = _asked(result.get("inputRequests"))
    missing = [(method, params) for method, params in requests.values() if not fits(offers, method, params)]
    if missing:
        raise _not_declared(missing)
    given = result.get("inputRequests") or {}
    named_ones = {
        name: given[name] | {"params": named(server, method, params)}
        for name, (method, params) in requests.items()
        if method == ELICITATION
    }
    return result | {"inputRequests": given | named_ones} if named_ones else result


def _not_declared(missing: list[tuple[str, dict[str, Any]]]) -> UpstreamError:
    if any(method not in THINGS for method, _ in missing):
        return NeedsInput("something")
    required: dict[str, Any] = {}
    for method, params in missing:
        required.setdefault(method.partition("/")[0], {}).update(_kind(method, params))
    things = " and ".join(sorted({THINGS[method] for method, _ in missing}))
    return RpcError({
        "code": MISSING_REQUIRED_CLIENT_CAPABILITY,
        "message": f"The server wants {things}, and this program does not say that it can be asked for that.",
        "data": {"requiredCapabilities": required} | about("needs_input", "no"),
    })  # fmt: skip


def _kind(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == ELICITATION:
        return {"url" if params.get("mode") == "url" else "form": {}}
    return {"tools": {}} if "tools" in params or "toolChoice" in params else {}


async def _answers(requests: object, voice: Voice | None) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for name, (method, params) in _asked(requests).items():
        answer = await voice.oblige(method, params) if voice else None
        if answer is None:
            raise NeedsInput(THINGS.get(method, "something"))
        answers[name] = answer
    return answers


def _asked(requests: object) -> dict[str, tuple[str, dict[str, Any]]]:
    """Method and params by name."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, request in (requests if isinstance(requests, dict) else {}).items():
        method = str(request.get("method")) if isinstance(request, dict) else ""
        params = request.get("params") if isinstance(request, dict) else None
        asked[name] = method, params if isinstance(params, dict) else {}
    return asked
