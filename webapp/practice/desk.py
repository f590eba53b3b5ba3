"""The desk: tickets and devices of a make-believe IT support company, kept in memory and really changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from webapp.errors import NotFound

Client = Literal[
    "Harbour Dental", "Northgate Logistics", "Bramley Solicitors", "St Anne's School", "Kestrel Engineering"
]
Status = Literal["open", "in_progress", "waiting", "resolved"]
Priority = Literal["low", "normal", "high", "urgent"]
Technician = Literal["Ana Ruiz", "Tom Blake", "Priya Nair"]
Visibility = Literal["internal", "client"]
Kind = Literal["laptop", "server", "firewall", "access_point", "printer"]


@dataclass
class Note:
    at: str
    text: str
    visibility: Visibility


@dataclass
class Ticket:
    id: str
    client: Client
    summary: str
    description: str
    status: Status
    priority: Priority
    opened_at: str
    contact: str
    assignee: Technician | None = None
    device_id: str | None = None
    notes: list[Note] = field(default_factory=list)

    @property
    def words(self) -> str:
        return "\n".join((self.id, self.client, self.summary, self.description, self.contact)).casefold()


@dataclass
class Device:
    id: str
    client: Client
    kind: Kind
    model: str
    system: str
    user: str
    online: bool
    last_seen: str
    restarts: int = 0
    next_restart: str | None = None


def clock() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Desk:
    def __init__(self, tickets: list[Ticket], devices: list[Device]) -> None:
        self.tickets = {ticket.id: ticket for ticket in tickets}
        self.devices = {device.id: device for device in devices}
        self._last_number = max(int(ticket.id.removeprefix("T-")) for ticket in tickets)

    def ticket(self, ticket_id: str) -> Ticket:
        if ticket_id not in self.tickets:
            raise NotFound(f"There is no ticket {ticket_id}.", next_step="Find its id with list_tickets.")
        return self.tickets[ticket_id]

    def device(self, device_id: str) -> Device:
        if device_id not in self.devices:
            raise NotFound(f"There is no device {device_id}.", next_step="Find its id with list_devices.")
        return self.devices[device_id]

    def find_tickets(
        self, status: Status | None = None, client: Client | None = None, text: str = ""
    ) -> list[Ticket]:
        """Newest first."""
        return [
            ticket
            for ticket in sorted(self.tickets.values(), key=lambda ticket: ticket.opened_at, reverse=True)
            if status in (None, ticket.status)
            and client in (None, ticket.client)
            and text.casefold() in ticket.words
        ]

    def find_devices(self, client: Client | None = None, kind: Kind | None = None) -> list[Device]:
        return [
            device
            for device in self.devices.values()
            if client in (None, device.client) and kind in (None, device.kind)
        ]

    def open_ticket(
        self, client: Client, summary: str, description: str, priority: Priority, device: Device | None
    ) -> Ticket:
        self._last_number += 1
        ticket = Ticket(
            id=f"T-{self._last_number}",
            client=client,
            summary=summary,
            description=description,
            status="open",
            priority=priority,
            opened_at=clock(),
            contact="Opened by an agent",
            device_id=device.id if device else None,
        )
        self.tickets[ticket.id] = ticket
        return ticket

    def update_ticket(
        self, ticket: Ticket, status: Status | None, priority: Priority | None, assignee: Technician | None
    ) -> None:
        ticket.status = status or ticket.status
        ticket.priority = priority or ticket.priority
        ticket.assignee = assignee or ticket.assignee

    def add_note(self, ticket: Ticket, text: str, visibility: Visibility) -> None:
        ticket.notes.append(Note(at=clock(), text=text, visibility=visibility))

    def delete_ticket(self, ticket: Ticket) -> None:
        del self.tickets[ticket.id]

    def restart(self, device: Device, when: Literal["now", "tonight"]) -> None:
        if when == "tonight":
            device.next_restart = "tonight at 22:00"
            return
        device.restarts += 1
        device.online = True
        device.last_seen = clock()
