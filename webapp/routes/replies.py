"""The shapes of an answer: a page, a fragment of one, or "go there"."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from htmx_flask import make_response as htmx_response


def is_htmx() -> bool:
    return bool(request.htmx)  # type: ignore[attr-defined]


def page(template: str, *, status: int = 200, **context: object) -> ResponseReturnValue:
    return make_response(render_template(template, **context), status)


def fragment(template: str, *, otherwise: str, status: int = 200, **context: object) -> ResponseReturnValue:
    """The changed piece of the page for htmx; a redirect for everyone else."""
    if is_htmx():
        return make_response(render_template(template, **context), status)
    return redirect(otherwise, 303)


def leave_for(url: str) -> ResponseReturnValue:
    """Go to another page. fetch() may not follow a redirect off-site, so htmx is told the place."""
    return htmx_response("", 204, redirect=url) if is_htmx() else redirect(url, 303)


def came_from() -> str:
    """The page of ours that a form or a fragment was on, as path and query; empty when nobody says so."""
    try:
        page = urlsplit(request.headers.get("HX-Current-URL") or request.referrer or "")
    except ValueError:
        return ""
    if page.netloc.lower() != request.host.lower():
        return ""
    return local(page._replace(scheme="", netloc="", fragment="").geturl())


def local(target: str) -> str:
    """Only a path of our own, else nothing: `//evil.test` and `/\\evil.test` are other places to a browser, which
    also drops tabs and line breaks."""
    fine = target.startswith("/") and target[1:2] not in ("/", "\\") and target.isprintable()
    return target if fine else ""
