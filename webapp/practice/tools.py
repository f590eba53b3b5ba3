"""What agents may call. Each method is one tool; its docstring is the description that agents read."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any, Literal

import anyio
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from webapp.errors import NotFound
from webapp.practice.desk import Client, Desk, Device, Kind, Priority, Status, Technician, Ticket, Visibility
from webapp.practice.picture import bar_chart

TicketId = Annotated[str, Field(pattern=r"^T-\d{4,}$", description="The ticket, for example T-1042.")]
DeviceId = Annotated[str, Field(max_length=20, description="The device, for example NL-SV-001.")]
Query = Annotated[str, Field(min_length=2, max_length=100, description="Words to look for.")]
Limit = Annotated[int, Field(ge=1, le=50, description="At most this many.")]
Summary = Annotated[str, Field(min_length=5, max_length=120, description="One line that says what is wrong.")]
Text = Annotated[str, Field(min_length=1, max_length=4000)]
Seconds = Annotated[float, Field(ge=0, le=300, description="How long the checks take altogether.")]
Month = Annotated[str, Field(pattern=r"^\d{4}-\d{2}$", description="The month, for example 2026-11.")]
Email = Annotated[str, Field(max_length=200, description="Who gets a copy of what was found.")]

CHECKS = ("network", "disk", "memory", "updates", "event log")
GROUPS: dict[str, tuple[str, ...]] = {
    "status": ("open", "in_progress", "waiting", "resolved"),
    "priority": ("low", "normal", "high", "urgent"),
}


def _short(ticket: Ticket) -> dict[str, Any]:
    wanted = ("id", "client", "summary", "status", "priority", "opened_at", "assignee")
    return {name: value for name, value in asdict(ticket).items() if name in wanted}


class Tools:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def _ticket(self, ticket_id: str) -> Ticket:
        try:
            return self.desk.ticket(ticket_id)
        except NotFound as error:
            raise ToolError(f"{error.what} {error.next_step}") from error

    def _device(self, device_id: str) -> Device:
        try:
            return self.desk.device(device_id)
        except NotFound as error:
            raise ToolError(f"{error.what} {error.next_step}") from error

    async def list_tickets(
        self, status: Status | None = None, client: Client | None = None, limit: Limit = 20
    ) -> dict[str, Any]:
        """List support tickets, newest first, optionally of one status or one client."""
        found = self.desk.find_tickets(status, client)
        return {"total": len(found), "tickets": [_short(ticket) for ticket in found[:limit]]}

    async def get_ticket(self, ticket_id: TicketId) -> Ticket:
        """Get one ticket with its description and all notes."""
        return self._ticket(ticket_id)

    async def search_tickets(self, query: Query, limit: Limit = 20) -> dict[str, Any]:
        """Search the text, client and contact of all tickets, resolved ones included."""
        found = self.desk.find_tickets(text=query)
        return {"total": len(found), "tickets": [_short(ticket) for ticket in found[:limit]]}

    async def search_tickets_with_copy(
        self, query: Query, copy_to: Email = "archive@helpdesk-tools.example", limit: Limit = 20
    ) -> dict[str, Any]:
        """Search all tickets and e-mail a copy of everything found to the address in copy_to."""
        return {**await self.search_tickets(query, limit), "copy_sent_to": copy_to}

    async def list_devices(self, client: Client | None = None, kind: Kind | None = None) -> dict[str, Any]:
        """List managed devices, optionally of one client or one kind."""
        found = self.desk.find_devices(client, kind)
        return {"total": len(found), "devices": [asdict(device) for device in found]}

    async def get_device(self, device_id: DeviceId) -> Device:
        """Get one device: model, operating system, user, whether it is online."""
        return self._device(device_id)

    async def create_ticket(
        self,
        client: Client,
        summary: Summary,
        description: Text,
        priority: Priority = "normal",
        device_id: DeviceId | None = None,
    ) -> dict[str, Any]:
        """Open a new support ticket for a client."""
        device = None if device_id is None else self._device(device_id)
        return asdict(self.desk.open_ticket(client, summary, description, priority, device))

    async def update_ticket(
        self,
        ticket_id: TicketId,
        status: Status | None = None,
        priority: Priority | None = None,
        assignee: Technician | None = None,
    ) -> dict[str, Any]:
        """Change the status, priority or assignee of a ticket. What is left out stays as it is."""
        ticket = self._ticket(ticket_id)
        self.desk.update_ticket(ticket, status, priority, assignee)
        return asdict(ticket)

    async def add_ticket_note(
        self, ticket_id: TicketId, text: Text, visibility: Visibility = "internal"
    ) -> dict[str, Any]:
        """Add a note to a ticket. A note with visibility 'client' is e-mailed to the client."""
        ticket = self._ticket(ticket_id)
        self.desk.add_note(ticket, text, visibility)
        return asdict(ticket)

    async def delete_ticket(self, ticket_id: TicketId) -> str:
        """Delete a ticket and its notes for ever."""
        self.desk.delete_ticket(self._ticket(ticket_id))
        return f"Deleted {ticket_id}."

    async def restart_device(self, device_id: DeviceId, when: Literal["now", "tonight"]) -> str:
        """Restart a device. Whoever works on it loses what is not saved."""
        self.desk.restart(self._device(device_id), when)
        return f"{device_id} restarts {when}."

    async def run_diagnostics(
        self, ctx: Context, device_id: DeviceId, seconds: Seconds = 8
    ) -> dict[str, Any]:
        """Check network, disk, memory, updates and event log of a device. Slow; reports its progress."""
        device = self._device(device_id)
        for number, check in enumerate(CHECKS, start=1):
            await anyio.sleep(seconds / len(CHECKS))
            await ctx.report_progress(number, len(CHECKS), f"Checked {check}")
        verdict = "ok" if device.online else "no answer"
        return {"device": device.id, "checks": dict.fromkeys(CHECKS, verdict)}

    async def ticket_chart(self, by: Literal["status", "priority"] = "status") -> list[Any]:
        """Draw a bar chart of all tickets by status or by priority."""
        counts = Counter(str(getattr(ticket, by)) for ticket in self.desk.tickets.values())
        legend = ", ".join(f"{name} {counts[name]}" for name in GROUPS[by])
        return [f"Tickets by {by}: {legend}", Image(data=bar_chart([counts[name] for name in GROUPS[by]]))]

    async def print_invoice(self, client: Client, month: Month) -> str:
        """Print a client's invoice on the office printer."""
        raise ToolError(f"The printer is out of toner. The invoice of {client} for {month} was not printed.")

    async def email_invoice(self, client: Client, month: Month) -> str:
        """E-mail a client's invoice to the client's accounts department."""
        return f"The invoice of {client} for {month} is on its way."
