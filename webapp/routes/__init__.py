"""What a person can ask for: one file per noun. Parse, call one service, answer."""

from __future__ import annotations

import importlib
import logging
from types import ModuleType

from flask import Flask, Response, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from peewee import DatabaseError, IntegrityError, ProgrammingError
from werkzeug.exceptions import HTTPException, InternalServerError, SecurityError

from webapp import logs
from webapp.errors import NotFound, Refused, TooMany
from webapp.routes.guards import settings
from webapp.routes.replies import is_htmx
from webapp.store.problems import explained

NOUNS = (
    "home", "approvals", "bulk", "reviews", "tools", "activity", "integrations", "pauses", "wizard", "oauth", "agents",
    "people", "leaving", "invites", "notices", "general", "inventory", "account", "second_step", "confirming", "help",
    "login", "sign_on", "setup", "health", "trying",
)  # fmt: skip
log = logging.getLogger(__name__)
OUT_OF_DATE = Refused(
    "This form is out of date.", why="The page was open for long, or you signed in again meanwhile.",
    next_step="Reload the page and try again.",
)  # fmt: skip


def load() -> list[ModuleType]:
    """All pages, with what they need."""
    return [importlib.import_module(f"webapp.routes.{noun}") for noun in NOUNS]


def init_app(app: Flask) -> None:
    for module in load():
        app.register_blueprint(module.bp)
    app.teardown_request(lambda _: logs.over())
    app.register_error_handler(Refused, refused)
    app.register_error_handler(CSRFError, stale_form)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(DatabaseError, store_fault)
    app.register_error_handler(Exception, our_fault)


def refused(error: Refused) -> Response:
    return _answer(
        error, error.status, {"Retry-After": str(error.retry_after)} if isinstance(error, TooMany) else {}
    )


def store_fault(error: DatabaseError) -> Response:
    """The disk, the file or the server of the database. A statement that is wrong is a fault of ours."""
    if isinstance(error, ProgrammingError | IntegrityError) or "no such table" in str(error):
        return our_fault(error)
    log.error("the database could not be used", exc_info=error)
    problem = explained(error)
    problem.why = ""  # a driver's words may name hosts and users
    return _answer(problem, problem.status, {"Retry-After": "10"}, fault=True)


def stale_form(error: CSRFError) -> Response:
    return _answer(_no_cookie() if not request.cookies else OUT_OF_DATE, 400)


def _no_cookie() -> Refused:
    """Else one would be sent from the form to the sign-in and back for ever."""
    address = settings().public_url
    if address.startswith("https:") and not request.is_secure:
        why, next_step = "They are for https only, and this page came over http.", f"Open {address} instead."
    else:
        why, next_step = "It may block them for this address.", "Allow them, reload the page and try again."
    return Refused("Your browser kept no cookies of Gatehouse.", why=why, next_step=next_step)


def http_error(error: HTTPException) -> Response:
    code = error.code or 500
    if isinstance(error, InternalServerError):  # also a page that failed while it told of something else
        return our_fault(error.original_exception or error)
    if code < 400:
        return make_response(error.get_response())
    if isinstance(error, SecurityError):  # a foreign Host: a page of ours would have to ask for it again
        return make_response("This Host is not served here.", 400, {"Content-Type": "text/plain"})
    if code == 404:
        return _answer(NotFound("There is no such page.", next_step="Go to Home and start from there."), 404)
    if code == 405:
        return _answer(Refused("This address takes another kind of request."), 405)
    return _answer(Refused(error.name + "."), code)


def our_fault(error: BaseException) -> Response:
    """The person gets the request's id, the log gets the story under it. Its page asks the database nothing."""
    number = logs.request_id()
    log.error("request failed, shown as %s", number, exc_info=error)
    words = Refused(
        "Something went wrong inside Gatehouse.", why="This is our fault, not yours.",
        next_step=f"Try again. If it stays, look for {number} in the server's log.",
    )  # fmt: skip
    return _answer(words, 500, fault=True)


def _answer(
    error: Refused, status: int, headers: dict[str, str] | None = None, *, fault: bool = False
) -> Response:
    template = "errors/_notice.html" if is_htmx() else "errors/page.html"
    response = make_response(render_template(template, error=error, fault=fault), status)
    response.headers.update(headers or {})
    if is_htmx():
        response.headers["HX-Retarget"] = "#notice"
        response.headers["HX-Reswap"] = "innerHTML"
    return response
