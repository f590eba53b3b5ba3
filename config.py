"""Every setting: read from the environment, with its default and one line of why."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parent
VERSION = "0.1.0"
SHORTEST_SECRET = 16
ROLES = ("viewer", "technician", "admin")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Provider:
    """Where people sign in instead of typing a password here (OpenID Connect)."""

    key: str  # in addresses: entra, oidc
    name: str  # on the button
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    roles: Mapping[str, str]  # what the provider calls a role → ours
    roles_claim: str = "roles"
    scope: str = "openid profile email"
    tenant: str = ""  # of Entra ID: nobody of another one gets in


@dataclass(frozen=True)
class Config:
    # Where it listens. Loopback until somebody decides otherwise.
    host: str = "127.0.0.1"
    port: int = 8000
    # Everything Gatehouse remembers: database, key file, set-up code. Mode 0700.
    data: Path = ROOT / "data"
    # sqlite:///… to keep the database elsewhere than in `data`.
    database_url: str = ""
    # Where the daily backups go; empty: `backups` in `data`. Another disk is better.
    backup_dir: Path | None = None
    # The address people and agents type. Decides cookies, links, sign-in return addresses and trusted host names.
    public_url: str = ""
    # More names this box answers to, comma-separated; any other Host header is refused (DNS rebinding).
    trusted_hosts: tuple[str, ...] = ()
    # Reverse proxies in front whose X-Forwarded-* headers count. An https PUBLIC_URL implies one.
    forwarded_hops: int = 0
    # PEM file with the certificate authorities of in-house servers, trusted beside the system's.
    ca_file: str | None = None
    # Origins, besides our own, whose browser pages may call /mcp.
    mcp_origins: tuple[str, ...] = ()
    # Seconds a call waits for its approval before it answers "waiting". Most clients give up at 60.
    hold_seconds: float = 45.0
    # Minutes an unanswered approval stays open.
    approval_minutes: int = 30
    # Open approvals one agent may have; more are refused, so that a loop can't bury the inbox.
    approvals_per_agent: int = 20
    # Seconds between two notices (mail, chat) that calls wait: those that come in between are told together.
    notice_seconds: float = 60.0
    # What the log keeps of arguments: full, redacted (secrets masked, long values cut) or digest.
    log_arguments: str = "redacted"
    # Seconds one tool call may take upstream.
    call_seconds: float = 120.0
    # Largest request body an agent may send, in bytes.
    max_request: int = 4 * 1024 * 1024
    # Largest answer of a server we take, in bytes: a picture of 5 MB, written as text, is 7 MB.
    max_result: int = 8 * 1024 * 1024
    # What the server's log is: plain lines, or json (one object a line).
    log_format: str = "plain"
    # Whoever shows this bearer token reads /metrics; empty: there is no such page. Or METRICS_TOKEN_FILE.
    metrics_token: str = field(default="", repr=False)
    # Calls one server may have under way in each worker; more wait for their turn. Small servers fall over sooner.
    calls_per_server: int = 100
    # Seconds a call waits for its turn before the agent is told that the server is busy.
    place_seconds: float = 10.0
    # Tool calls one agent may make in a minute, over all workers; 0: no limit. Each agent's page has its own.
    calls_per_minute: int = 0
    # Calls one agent may have under way in each worker, those that wait for a person aside; 0: no limit.
    calls_at_once: int = 0
    # What one agent may ask Gatehouse itself in a minute (lists, searches, word of its approvals), in each worker;
    # 0: no limit. Programs ask a few such things for each of their calls at most.
    asks_per_minute: int = 3000
    # Minutes between two scheduled syncs of one server.
    sync_minutes: int = 60
    # Where the practice server listens; it is offered while nothing is connected. Empty: not offered.
    practice_url: str = ""
    # Sign-in attempts per account and per network before it slows down, and the window in seconds.
    login_tries: int = 10
    login_window: int = 900
    # Hours a session lives unused, and at most.
    session_idle_hours: int = 12
    session_days: int = 7
    # Minutes after a password or a code until keys, people and backups ask for one again.
    recent_minutes: int = 60
    # Where people sign in besides: ENTRA_… for Microsoft Entra ID, OIDC_… for another provider (docs/sign-on.md).
    providers: tuple[Provider, ...] = ()
    # Who may sign in with a password: everyone, or only admins, for the day the provider is down.
    password_sign_in: str = "everyone"

    @property
    def address(self) -> str:
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def hosts(self) -> list[str]:
        """Host names this box answers to."""
        named = {"127.0.0.1", "localhost", "[::1]", *self.trusted_hosts}
        if self.host not in ("0.0.0.0", "::"):
            named.add(self.host)
        if self.public_url and (name := urlsplit(self.public_url).hostname):
            named.add(f"[{name}]" if ":" in name else name)
        return sorted(name.lower() for name in named)

    def answers_to(self, host: str) -> bool:
        """`host` as in a Host header: a name or an address, with or without a port."""
        name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        return name.lower() in self.hosts

    @property
    def secure(self) -> bool:
        return self.public_url.startswith("https://")


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _secret(env: Mapping[str, str], name: str) -> str:
    """From the environment, which `ps` and crash reports may show, or better from a file."""
    path = env.get(f"{name}_FILE")
    try:
        value = Path(path).read_text().strip() if path else env.get(name, "")
    except OSError as error:
        raise ValueError(f"{name}_FILE can't be read: {error.strerror}") from error
    if (value or path) and len(value) < SHORTEST_SECRET:
        raise ValueError(f"{name} must have {SHORTEST_SECRET} characters at least")
    return value


def _missing(env: Mapping[str, str], prefix: str, names: tuple[str, ...]) -> bool:
    """Whether nothing of this provider is set. Raises ValueError for half of it."""
    missing = [name for name in names if not (env.get(name) or env.get(f"{name}_FILE"))]
    if missing and any(name.startswith(prefix) and value for name, value in env.items()):
        raise ValueError(f"{missing[0]} is missing: {prefix}… settings need {', '.join(names)}")
    return bool(missing)


def _roles(env: Mapping[str, str], name: str) -> dict[str, str]:
    """`Gatehouse.Admins=admin, Helpdesk=technician`; without it the provider uses our own words."""
    pairs = (word.rpartition("=") for word in _words(env.get(name, "")))
    roles = {theirs.strip(): ours.strip() for theirs, _, ours in pairs}
    if any(not theirs or ours not in ROLES for theirs, ours in roles.items()):
        raise ValueError(f"{name} must be pairs like Helpdesk=technician; roles are {', '.join(ROLES)}")
    return roles or {role: role for role in ROLES}


def _issuer(env: Mapping[str, str], name: str, default: str = "") -> str:
    issuer = env.get(name) or default
    try:
        parts = urlsplit(issuer)
        host, extra = parts.hostname, parts.query or parts.fragment or parts.username
    except ValueError:
        host, extra = None, None
    if not host or extra or not (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)):
        raise ValueError(f"{name} must be an https:// address, without anything behind the path")
    return issuer


def _entra(env: Mapping[str, str]) -> list[Provider]:
    if _missing(env, "ENTRA_", ("ENTRA_TENANT", "ENTRA_CLIENT_ID", "ENTRA_CLIENT_SECRET")):
        return []
    tenant = env["ENTRA_TENANT"].lower()
    if not GUID.fullmatch(tenant):
        raise ValueError(
            "ENTRA_TENANT must be the Directory (tenant) ID of your own tenant, 32 digits with dashes; "
            "words such as common or organizations would let in people of every tenant"
        )
    authority = _issuer(env, "ENTRA_AUTHORITY", "https://login.microsoftonline.com").rstrip("/")
    return [
        Provider(
            "entra", env.get("ENTRA_NAME") or "Microsoft", f"{authority}/{tenant}/v2.0", env["ENTRA_CLIENT_ID"],
            _secret(env, "ENTRA_CLIENT_SECRET"), _roles(env, "ENTRA_ROLES"), tenant=tenant,
        )
    ]  # fmt: skip


def _oidc(env: Mapping[str, str]) -> list[Provider]:
    if _missing(env, "OIDC_", ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")):
        return []
    issuer = _issuer(env, "OIDC_ISSUER")
    return [
        Provider(
            "oidc", env.get("OIDC_NAME") or str(urlsplit(issuer).hostname), issuer, env["OIDC_CLIENT_ID"],
            _secret(env, "OIDC_CLIENT_SECRET"), _roles(env, "OIDC_ROLES"),
            env.get("OIDC_ROLES_CLAIM") or Provider.roles_claim, env.get("OIDC_SCOPE") or Provider.scope,
        )
    ]  # fmt: skip


def _password_sign_in(env: Mapping[str, str], providers: tuple[Provider, ...]) -> str:
    who = env.get("PASSWORD_SIGN_IN", Config.password_sign_in)
    if who not in ("everyone", "admins"):
        raise ValueError("PASSWORD_SIGN_IN must be everyone or admins")
    if who == "admins" and not providers:
        raise ValueError(
            "PASSWORD_SIGN_IN=admins needs a provider where the others sign in: ENTRA_… or OIDC_…"
        )
    return who


def from_environment(environ: Mapping[str, str] | None = None) -> Config:
    """Raises ValueError with one sentence when a setting can't be used."""
    env = os.environ if environ is None else environ
    public_url = env.get("PUBLIC_URL", "").rstrip("/")
    if public_url and urlsplit(public_url).scheme not in ("http", "https"):
        raise ValueError("PUBLIC_URL must start with https:// or http://")
    log_arguments = env.get("LOG_ARGUMENTS", Config.log_arguments)
    if log_arguments not in ("full", "redacted", "digest"):
        raise ValueError("LOG_ARGUMENTS must be full, redacted or digest")
    log_format = env.get("LOG_FORMAT", Config.log_format)
    if log_format not in ("plain", "json"):
        raise ValueError("LOG_FORMAT must be plain or json")
    providers = (*_entra(env), *_oidc(env))
    return Config(
        host=env.get("HOST", Config.host),
        port=int(env.get("PORT", Config.port)),
        data=Path(env.get("GATEHOUSE_DATA", Config.data)),
        database_url=env.get("DATABASE_URL", ""),
        backup_dir=Path(env["BACKUP_DIR"]) if env.get("BACKUP_DIR") else None,
        public_url=public_url,
        trusted_hosts=_words(env.get("TRUSTED_HOSTS", "")),
        forwarded_hops=int(env.get("FORWARDED_HOPS", 1 if public_url.startswith("https://") else 0)),
        ca_file=env.get("CA_FILE") or None,
        mcp_origins=_words(env.get("MCP_ORIGINS", "")),
        hold_seconds=float(env.get("HOLD_SECONDS", Config.hold_seconds)),
        approval_minutes=int(env.get("APPROVAL_MINUTES", Config.approval_minutes)),
        approvals_per_agent=int(env.get("APPROVALS_PER_AGENT", Config.approvals_per_agent)),
        notice_seconds=float(env.get("NOTICE_SECONDS", Config.notice_seconds)),
        log_arguments=log_arguments,
        call_seconds=float(env.get("CALL_SECONDS", Config.call_seconds)),
        max_request=int(env.get("MAX_REQUEST", Config.max_request)),
        max_result=int(env.get("MAX_RESULT", Config.max_result)),
        log_format=log_format,
        metrics_token=_secret(env, "METRICS_TOKEN"),
        calls_per_server=int(env.get("CALLS_PER_SERVER", Config.calls_per_server)),
        place_seconds=float(env.get("PLACE_SECONDS", Config.place_seconds)),
        calls_per_minute=int(env.get("CALLS_PER_MINUTE", Config.calls_per_minute)),
        calls_at_once=int(env.get("CALLS_AT_ONCE", Config.calls_at_once)),
        asks_per_minute=int(env.get("ASKS_PER_MINUTE", Config.asks_per_minute)),
        sync_minutes=int(env.get("SYNC_MINUTES", Config.sync_minutes)),
        practice_url=env.get("PRACTICE_URL", "").rstrip("/"),
        login_tries=int(env.get("LOGIN_TRIES", Config.login_tries)),
        login_window=int(env.get("LOGIN_WINDOW", Config.login_window)),
        session_idle_hours=int(env.get("SESSION_IDLE_HOURS", Config.session_idle_hours)),
        session_days=int(env.get("SESSION_DAYS", Config.session_days)),
        recent_minutes=int(env.get("RECENT_MINUTES", Config.recent_minutes)),
        providers=providers,
        password_sign_in=_password_sign_in(env, providers),
    )
