"""What a file of servers and policies would change here, in sentences; and doing it, all or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from ipaddress import ip_network

from webapp.errors import EgressDenied, InvalidInput, NotFound, Stale
from webapp.services import addresses, audit, brought, builtins, holding, integrations, patience, policies
from webapp.services.approvals import second_person
from webapp.services.audit import Actor
from webapp.services.inventory import Inventory, ServerLine, ToolLine
from webapp.services.policies import WORDS, looser
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.models import Integration, Tool
from webapp.upstream.addresses import Network
from webapp.upstream.egress import Allowance, Egress
from webapp.upstream.exchange import shown_url

WIDEST = {4: 24, 6: 64}
Act = Callable[[Actor], object]
CUT = "?…"  # as `shown_url` writes it


@dataclass(frozen=True)
class Change:
    """`loosens`: agents may do more afterwards; `inside`: a server gets into our own network. Without `act` it is only
    said."""

    what: str
    loosens: bool = False
    inside: bool = False
    act: Act | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Plan:
    changes: list[Change]

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(one.what for one in self.changes).encode()).hexdigest()

    @property
    def inside(self) -> list[Change]:
        return [one for one in self.changes if one.inside]

    @property
    def loosening(self) -> list[Change]:
        return [one for one in self.changes if one.loosens]

    @property
    def others(self) -> list[Change]:
        return [one for one in self.changes if one.act and not one.loosens and not one.inside]

    @property
    def notes(self) -> list[Change]:
        return [one for one in self.changes if not one.act]

    @property
    def size(self) -> int:
        return sum(one.act is not None for one in self.changes)


def draw(inventory: Inventory) -> Plan:
    """Raises InvalidInput for what can't be here, with its line."""
    known = {one.name: one for one in Integration.select()}
    changes: list[Change] = []
    for line in inventory.servers:
        row = known.get(line.name)
        changes += _of_known(line, row) if row else _of_new(line)
    for line in inventory.builtins:
        changes += _of_builtin(line, known.get(line.name))
    named = {line.name for line in (*inventory.servers, *inventory.builtins)}
    changes += [
        Change(f"{name} is not in the file and stays as it is.") for name in sorted(set(known) - named)
    ]
    return Plan(changes)


def move_in(inventory: Inventory, actor: Actor, *, seen: str = "") -> Plan:
    """Raises Stale where the plan is not the one with the digest `seen`."""
    needs(actor, "admin")
    with writing():
        plan = draw(inventory)
        if seen and seen != plan.digest:
            raise Stale(
                "Something has changed here since the preview was made.",
                next_step="Look at what would be done now.",
            )
        for change in plan.changes:
            if change.act:
                change.act(actor)
        if plan.size:
            loosened = [one.what for one in plan.loosening][:100]
            details = {
                "changes": plan.size,
                "inside": [one.what for one in plan.inside],
                "loosened": loosened,
            }
            audit.record("inventory.imported", actor, details=details)
    return plan


# --- servers


def _of_new(line: ServerLine) -> Iterator[Change]:
    url = _address(line)

    def add(actor: Actor) -> None:
        row = integrations.add_server(url, actor, name=line.name, title=line.title or None)
        brought.keep(row, {name: asdict(tool) for name, tool in line.tools.items()}, actor.name)

    how = f" ({line.sign_in})" if line.sign_in else ""
    yield Change(f"{line.name}, {url}, is added and needs its sign-in{how}.", act=add)
    if line.url.endswith(CUT):
        yield Change(f"What follows “?” in the address of {line.name} is in no file: enter it in the set-up.")
    yield from _settings(line, Integration(name=line.name, allowances=[], settings={}))
    for name, tool in sorted(line.tools.items()):
        if tool.policy == "auto":
            yield Change(f"mcp:{line.name}:{name} will be Auto once it is there.", loosens=True, act=_nothing)


def _address(line: ServerLine) -> str:
    try:
        return addresses.typed(line.url.removesuffix(CUT)).url
    except InvalidInput as error:
        raise InvalidInput(
            f"Line {line.line}: {error.what}", field="file", next_step=error.next_step
        ) from error


def _of_known(line: ServerLine, row: Integration) -> Iterator[Change]:
    if row.kind != "server":
        raise InvalidInput(f"Line {line.line}: {line.name} is the name of a built-in.", field="file")
    url, cut = _address(line), line.url.endswith(CUT)
    if (shown_url(row.url) != url + CUT) if cut else (row.url != url):
        raise InvalidInput(
            f"Line {line.line}: {line.name} has another address here, {shown_url(row.url)}.", field="file",
            next_step="Give it another name in the file, or disconnect the server here first.",
        )  # fmt: skip
    if line.title and line.title != row.title:
        yield Change(
            f"{line.name} gets the title “{line.title}”.",
            act=lambda actor: integrations.rename(integrations.find(line.name), line.title, actor),
        )
    yield from _settings(line, row)
    if row.synced_at is None:
        tools = {name: asdict(tool) for name, tool in line.tools.items()}
        if tools and brought.of(row).get("tools") != tools:
            yield Change(
                f"The policies of {line.name} in the file wait for its first sync.",
                loosens=any(tool.policy == "auto" for tool in line.tools.values()),
                act=lambda actor: brought.keep(integrations.find(line.name), tools, actor.name),
            )
    else:
        yield from _of_tools(line, row)


def _settings(line: ServerLine, row: Integration) -> Iterator[Change]:
    for given in line.allow:
        if given not in row.allowances:
            yield _allowance(line, given)
    if line.new_tools != (row.new_tools or "approval"):
        order = list(reversed(holding.CEILINGS))
        yield Change(
            f"Later tools of {line.name} get: {policies.CEILING_WORDS[line.new_tools]}.",
            loosens=order.index(line.new_tools) > order.index(row.new_tools),
            act=lambda actor: holding.set_ceiling(integrations.find(line.name), line.new_tools, actor),
        )
    if line.call_seconds != patience.of(row):
        wanted = "" if line.call_seconds is None else str(line.call_seconds)
        yield Change(
            f"A call to {line.name} may take {f'{wanted} seconds' if wanted else 'as long as everywhere'}.",
            act=lambda actor: patience.change(integrations.find(line.name), wanted, actor),
        )


def _allowance(line: ServerLine, given: dict[str, object]) -> Change:
    try:
        for network in str(given["network"]).split(","):
            _check_narrow(ip_network(network.strip(), strict=False), line)
    except ValueError as error:
        raise InvalidInput(
            f"Line {line.line}: “{str(given['network'])[:40]}” is no network.", field="file"
        ) from error
    allowance = Allowance(**given)  # type: ignore[arg-type]
    try:
        Egress([allowance])
    except EgressDenied as error:
        raise InvalidInput(
            f"Line {line.line}: {error.what}", field="file", next_step=error.next_step
        ) from error
    clear = ", without encryption" if allowance.cleartext else ""
    return Change(
        f"{line.name} may be at {allowance.host}, port {allowance.port}, in the network {allowance.network}{clear}.",
        inside=True,
        act=lambda actor: integrations.allow_private(integrations.find(line.name), allowance, actor),
    )


def _check_narrow(network: Network, line: ServerLine) -> None:
    """A file opens no more at once than the wizard would offer."""
    if network.prefixlen < WIDEST[network.version]:
        raise InvalidInput(
            f"Line {line.line}: the network {network} is too wide for one server.", field="file",
            next_step=f"Name the server’s own network, /{WIDEST[network.version]} at most.",
        )  # fmt: skip


# --- built-ins and tools


def _of_builtin(line: ServerLine, row: Integration | None) -> Iterator[Change]:
    if row is None or row.kind != "builtin":
        yield Change(f"There is no built-in {line.name} here; it is left out.")
        return
    if line.enabled != (row.state != "paused"):
        yield Change(
            f"{line.name} is switched {'on' if line.enabled else 'off'}.", loosens=line.enabled,
            act=lambda actor: builtins.set_builtin(integrations.find(line.name), line.enabled, actor),
        )  # fmt: skip
    yield from _of_tools(line, row)


def _of_tools(line: ServerLine, row: Integration) -> Iterator[Change]:
    known = {tool.name: tool for tool in Tool.of(row)}
    for name, wanted in sorted(line.tools.items()):
        if tool := known.get(name):
            yield from _of_tool(tool, wanted)
        else:
            yield Change(f"{row.catalogue_prefix}:{name} is not known here and is left out.")


def _of_tool(tool: Tool, wanted: ToolLine) -> Iterator[Change]:
    name, id = tool.catalogue_name, tool.id
    if wanted.policy != tool.policy:
        if why := policies.unreviewed(tool.waits, tool.policy, wanted.policy):
            yield Change(f"{name} stays {WORDS[tool.policy]}. {why}")
        else:
            yield Change(
                f"{name} becomes {WORDS[wanted.policy]}; it was {WORDS[tool.policy]}.",
                loosens=looser(wanted.policy, tool.policy),
                act=lambda actor: policies.set_policy(_tool(id), wanted.policy, actor),
            )
    if wanted.second_person != tool.second_person:
        rule = "needs a second person" if wanted.second_person else "no longer needs a second person"
        yield Change(
            f"{name} {rule}.", loosens=not wanted.second_person,
            act=lambda actor: second_person.set_rule(_tool(id), wanted.second_person, actor),
        )  # fmt: skip


def _tool(id: int) -> Tool:
    found: Tool | None = Tool.get_or_none(Tool.id == id)
    if found is None:
        raise NotFound("This tool is gone: its server was disconnected.")
    return found


def _nothing(actor: Actor) -> None:
    """Done with the server that it belongs to."""
