"""Every way Gatehouse says no. No Flask here.

    Refused                     somebody asked for something we will not or cannot do
    ├── InvalidInput      422   what was typed can't be used; `field` names the input
    ├── NotFound          404   there is no such thing, or it is not yours to see
    ├── Forbidden         403   your role may not do this
    ├── Stale             409   somebody else was first
    ├── TooMany           429   too many tries; wait
    └── UpstreamError     502   another machine let us down
        ├── EgressDenied        the guard refuses this address
        ├── Unreachable         no usable connection: name, port, TLS, time
        ├── NeedsAuthorization  it answered 401, or 403 with a challenge
        ├── SignInRefused       its sign-in service said no
        ├── BadReply            it answered, but not with what MCP demands
        └── RpcError            it answered with a JSON-RPC error

Every refusal carries sentences fit for a person: what happened, why it is likely, what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """Base of all refusals. `str(error)` is what happened, in words an admin can act on."""

    status = 400

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step


class InvalidInput(Refused):
    status = 422

    def __init__(self, what: str, *, field: str = "", why: str = "", next_step: str = "") -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.field = field


class NotFound(Refused):
    status = 404


class Forbidden(Refused):
    status = 403


class Stale(Refused):
    status = 409


class TooMany(Refused):
    status = 429

    def __init__(self, what: str, *, retry_after: int, next_step: str = "") -> None:
        super().__init__(what, next_step=next_step)
        self.retry_after = retry_after


class UpstreamError(Refused):
    """What agents hear of it has no host names or addresses: they get no map of the network.

    `trouble` goes on where a sentence began with the server; `agent_kind` is the same for programs (docs/agents.md).
    `sent` says whether the request may have reached the other side: a write that was sent is never repeated.
    """

    status = 502
    trouble = "could not be used."
    agent_kind = "upstream_error"
    sent = True
    retry_after: int | None = None  # seconds, where the other side named them

    @property
    def for_agent(self) -> str:
        return f"The server behind this tool {self.trouble}"


class EgressDenied(UpstreamError):
    """`kind`: `private` (an admin may allow it for one server), `never`, `scheme`, `port` or `url`.

    `cleartext`: the address began with http://, which an admin would have to allow as well.
    """

    trouble = "can't be reached."
    agent_kind = "unreachable"
    sent = False
    cleartext = False

    def __init__(
        self, what: str, *, kind: str, host: str = "", port: int = 0, address: str = "", next_step: str = ""
    ) -> None:
        super().__init__(what, next_step=next_step)
        self.kind = kind
        self.host = host
        self.port = port
        self.address = address


class Unreachable(UpstreamError):
    """`kind`: `dns`, `refused`, `tls`, `connect_timeout`, `read_timeout`, `closed`, `kept` (closed, on a connection
    of earlier calls), `busy` (429 and 5xx), and `open` where we leave it alone for a while (gateway/circuit)."""

    trouble = "can't be reached right now."
    agent_kind = "unreachable"
    TROUBLES = {
        "read_timeout": ("timeout", "gave no answer in time."),
        "busy": ("server_busy", "takes no more calls at the moment."),
        "open": ("unreachable", "failed its last calls, so none are sent to it until it answers again."),
    }

    def __init__(
        self,
        what: str,
        *,
        kind: str,
        why: str = "",
        next_step: str = "",
        sent: bool = False,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.kind = kind
        self.sent = sent
        self.retry_after = retry_after
        self.agent_kind, self.trouble = self.TROUBLES.get(kind, (self.agent_kind, self.trouble))
        if kind == "busy" and sent:  # not too many calls, then: it failed over this one
            self.agent_kind, self.trouble = "upstream_error", "has a fault or is being restarted."


class NeedsAuthorization(UpstreamError):
    """`challenge` is the `WWW-Authenticate` header as received, empty where there was none."""

    trouble = "needs an administrator to sign in again."
    agent_kind = "auth"
    sent = False

    def __init__(self, what: str, *, http_status: int, challenge: str = "", next_step: str = "") -> None:
        super().__init__(what, next_step=next_step)
        self.http_status = http_status
        self.challenge = challenge


class SignInRefused(UpstreamError):
    """`code` is the sign-in service's error code, a short line (RFC 6749 §4.1.2.1 and §5.2, RFC 7591 §3.2.2)."""

    trouble = NeedsAuthorization.trouble
    agent_kind = "auth"
    sent = False

    def __init__(self, what: str, *, code: str, why: str = "", next_step: str = "") -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.code = code


class BadReply(UpstreamError):
    """`kind`: `html`, `not_json`, `not_mcp`, `wrong_id`, `too_large`, `too_slow`, `redirect`, `compressed`."""

    trouble = "gave an answer that can't be used."
    TROUBLES = {
        "too_large": ("too_large", "gave an answer that is too large. Ask for less at a time."),
        "too_slow": ("timeout", "did not finish its answer in time."),
    }

    def __init__(self, what: str, *, kind: str, why: str = "", next_step: str = "") -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.kind = kind
        self.agent_kind, self.trouble = self.TROUBLES.get(kind, (self.agent_kind, self.trouble))

    def anew(self) -> BadReply:
        """To raise where this one is kept: it would know the frames that keep it, and only the garbage collector
        could let go of either."""
        return BadReply(self.what, kind=self.kind, why=self.why, next_step=self.next_step)


class RpcError(UpstreamError):
    """A JSON-RPC error object from the other side, kept whole: `code`, `message`, `data`."""

    trouble = "answered with an error."

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.code = code if type(code := error.get("code")) is int else -32603
        self.message = str(error.get("message") or "")
        self.data = error.get("data")
        super().__init__(f"The server answered with error {self.code}: {self.message[:300]}")

    def as_json(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        return error if self.data is None else error | {"data": self.data}
