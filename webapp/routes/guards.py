"""Who may come in: the session behind the cookie, the role a view asks for, and where a request came from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, flash, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from config import Config
from webapp.errors import Forbidden, Refused
from webapp.routes.replies import came_from, is_htmx, leave_for
from webapp.services import first_admin, known_browsers, second_step, sessions
from webapp.services.audit import Actor
from webapp.services.login import SignedIn
from webapp.services.roles import needs
from webapp.services.throttle import Limit
from webapp.store.models import Session, User, database

View = TypeVar("View", bound=Callable[..., Any])
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
ANYONE = "anyone"
# These answer also when the database does not.
WITHOUT_DATABASE = {"static", "health.alive", "health.ready", "health.numbers", "health.csp_report"}
# What somebody may use whose role needs a second step that is not set up yet: its own pages, and the way out.
BEFORE_SECOND_STEP = {"second_step", "login"}
KNOWN_BROWSER = "known"  # the cookie that stays when one signs out
LONGEST_WAY_BACK = 1500  # proxies refuse answers with headers of a few thousand bytes


def allow(role: str, *, polled: bool = False) -> Callable[[View], View]:
    """Says who may use a view: viewer, technician, admin, or anyone. A view that says nothing is closed.

    `polled`: pages ask for it by themselves, so it keeps no session alive.
    """

    def mark(view: View) -> View:
        view.allowed_role = role  # type: ignore[attr-defined]
        view.polled = polled  # type: ignore[attr-defined]
        return view

    return mark


def allowed_role(app: Flask, endpoint: str) -> str | None:
    if endpoint == "static":
        return ANYONE
    return getattr(app.view_functions[endpoint], "allowed_role", None)


def settings() -> Config:
    config: Config = current_app.extensions["gatehouse"]
    return config


def came_by() -> str:
    """The address at which this browser has Gatehouse open."""
    return request.host_url.rstrip("/")


def login_limit() -> Limit:
    return Limit(settings().login_tries, settings().login_window)


def current_session() -> Session | None:
    session: Session | None = g.get("session_row")
    return session


def current_user() -> User:
    session = current_session()
    if session is None:
        raise Forbidden("You are not signed in.")
    return session.user  # type: ignore[no-any-return]


def current_actor() -> Actor:
    user = current_user()
    return Actor("user", user.email, user.id, user.role, request.remote_addr or "")


def init_app(app: Flask) -> None:
    app.before_request(refuse_foreign_host)
    app.before_request(open_if_needed)
    app.before_request(refuse_cross_site)
    app.before_request(check_role)
    app.teardown_request(close_database)


def refuse_foreign_host() -> None:
    """DNS rebinding: a name of somebody else may lead here. Not by Flask's TRUSTED_HOSTS: that makes every use of
    `request.host` raise, on the error page too, and knows no IPv6 address."""
    if not settings().answers_to(request.host):
        raise Refused(
            "Gatehouse does not answer to this name.",
            why="The address asked for is not one of its own.",
            next_step="Use its own address, or add this name to PUBLIC_URL or TRUSTED_HOSTS.",
        )


def open_if_needed() -> None:
    if request.endpoint not in WITHOUT_DATABASE:
        open_database()


def open_database() -> None:
    g.opened_database = database.connect(reuse_if_open=True)


def close_database(error: BaseException | None) -> None:
    if g.pop("opened_database", False):
        database.close()


def refuse_cross_site() -> None:
    """The rule of Go's http.CrossOriginProtection: browsers say where a request comes from.

    `Sec-Fetch-Site` where it is sent (https and localhost); else `Origin` must be our own host. A request with
    neither comes from no browser and goes on to the token in the form.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        same = site in ("same-origin", "none")
    else:
        same = origin is None or _host_of(origin) == request.host.lower()
    if not same:
        raise Forbidden(
            "This request came from another site and was refused.",
            next_step="Open the page in Gatehouse itself and try again.",
        )


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def check_role() -> ResponseReturnValue | None:
    """Deny by default. Runs before every view, fragments included."""
    g.session_row = None if request.endpoint in WITHOUT_DATABASE else _session_of_cookie()
    if request.endpoint is None:
        return None
    role = allowed_role(current_app._get_current_object(), request.endpoint)  # type: ignore[attr-defined]
    if role == ANYONE:
        return None
    if role is None:
        raise Forbidden("Nobody may use this page.")
    if not first_admin.is_set_up():
        return redirect(url_for("setup.show"), 303)
    if g.session_row is None:
        return _to_sign_in()
    needs(current_actor(), role)
    if request.blueprint not in BEFORE_SECOND_STEP and second_step.is_due(current_user()):
        return _to_second_step()
    return None


def _to_second_step() -> ResponseReturnValue:
    """Not for what pages ask by themselves: that would load the page anew while somebody types there."""
    view = current_app.view_functions[request.endpoint or ""]
    return ("", 204) if getattr(view, "polled", False) else leave_for(url_for("second_step.show"))


def _to_sign_in() -> ResponseReturnValue:
    if request.method not in SAFE_METHODS and not is_htmx():
        flash("You were signed out, so nothing was done. Sign in, and do it again.")
    back = _page_asked_for()
    address = url_for("login.show", next=back if back != "/" else None)
    return leave_for(address if len(address) <= LONGEST_WAY_BACK else url_for("login.show"))


def _page_asked_for() -> str | None:
    """What was to be opened, or the page of ours that a form or a fragment belongs to."""
    if request.method == "GET" and not is_htmx():
        return request.full_path.rstrip("?")
    return came_from() or None


# --- the cookie


def cookie_name(plain: str = "sid") -> str:
    """`__Host-` needs Secure, and Secure cookies are dropped on plain http: on LAN names by every browser, on
    localhost by Safari and by programs. So the strong name is for https only."""
    return f"__Host-{plain}" if request.is_secure else plain


def set_cookie(response: Response, signed_in: SignedIn) -> None:
    days = settings().session_days
    response.set_cookie(
        cookie_name(),
        signed_in.token,
        max_age=days * 86400,
        httponly=True,
        secure=request.is_secure,
        samesite="Lax",
        path="/",
    )
    if signed_in.known:
        set_passing_cookie(response, KNOWN_BROWSER, signed_in.known, known_browsers.LIVES)


def drop_cookie(response: Response, plain: str = "sid") -> None:
    name = cookie_name(plain)
    response.delete_cookie(name, httponly=True, secure=request.is_secure, samesite="Lax", path="/")


def passing_cookie(plain: str) -> str:
    return request.cookies.get(cookie_name(plain), "")


def set_passing_cookie(response: Response, plain: str, token: str, lives: timedelta) -> None:
    """For somebody on the way to a session, this one or the next."""
    response.set_cookie(
        cookie_name(plain), token, max_age=int(lives.total_seconds()), httponly=True,
        secure=request.is_secure, samesite="Lax", path="/",
    )  # fmt: skip


def _session_of_cookie() -> Session | None:
    token = request.cookies.get(cookie_name())
    if not token:
        return None
    view = current_app.view_functions.get(request.endpoint or "")
    return sessions.of_token(
        token, idle_hours=settings().session_idle_hours, days=settings().session_days,
        by_itself=getattr(view, "polled", False),
    )  # fmt: skip
