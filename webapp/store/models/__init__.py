"""The tables and their named queries. Anybody may read through them; only services write."""

from __future__ import annotations

from webapp.store.models.agents import Agent, AgentIntegration, LogLevel, Pause, Spent, Word
from webapp.store.models.approvals import Approval, Notice, NoticeChannel, SignInNotice, Standing
from webapp.store.models.integrations import Check, Connection, Grant, Integration, OAuthClient, SignIn
from webapp.store.models.log import Entry, Intent, Pace, Segment, Tally, Worker
from webapp.store.models.people import (
    Authenticator,
    HalfSession,
    Invite,
    LinkedAccount,
    RecoveryCode,
    Session,
    SignOn,
    Throttle,
    User,
)
from webapp.store.models.table import Extent, State, Table, database, remember, state
from webapp.store.models.tools import WAITS, BulkChange, BulkItem, Quarantine, Tool

__all__ = [
    "Agent",
    "AgentIntegration",
    "Approval",
    "Authenticator",
    "BulkChange",
    "BulkItem",
    "Check",
    "Connection",
    "Entry",
    "Extent",
    "Grant",
    "HalfSession",
    "Integration",
    "Intent",
    "Invite",
    "LinkedAccount",
    "LogLevel",
    "MODELS",
    "Notice",
    "NoticeChannel",
    "OAuthClient",
    "Pace",
    "Pause",
    "Quarantine",
    "RecoveryCode",
    "Segment",
    "Session",
    "SignIn",
    "SignInNotice",
    "SignOn",
    "Spent",
    "Standing",
    "State",
    "Table",
    "Tally",
    "Throttle",
    "Tool",
    "User",
    "WAITS",
    "Word",
    "Worker",
    "database",
    "remember",
    "state",
]

MODELS: list[type[Table]] = [
    State, Extent, User, Session, LinkedAccount, SignOn, HalfSession, Authenticator, RecoveryCode, Invite, Throttle,
    Integration, Connection, OAuthClient, SignIn, Grant,
    Check, Tool, BulkChange, BulkItem, Quarantine,
    Agent, AgentIntegration, Spent, Word, LogLevel, Standing, Approval, Pause, NoticeChannel, Notice, SignInNotice,
    Worker, Intent, Entry, Tally, Pace, Segment,
]  # fmt: skip
