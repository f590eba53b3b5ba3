"""Settings → Notices: who is told that calls wait, by mail and in a chat; a test; what went wrong."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput, Refused
from webapp.routes.confirming import recently
from webapp.routes.guards import allow, current_actor, settings
from webapp.routes.replies import page
from webapp.services import notices
from webapp.services.notices import channels

bp = Blueprint("notices", __name__, url_prefix="/settings/notices")


@bp.get("")
@allow("admin")
@recently
def show() -> ResponseReturnValue:
    return _page()


@bp.post("/mail")
@allow("admin")
@recently
def save_mail() -> ResponseReturnValue:
    names = ("host", "port", "security", "user", "password", "sender", "recipients")
    given = {name: request.form.get(name, "")[:2000] for name in names}
    typed = notices.Mail(**given, private=request.form.get("private") == "on")
    try:
        notices.save_mail(typed, current_actor())
    except InvalidInput as error:
        return _page(status=error.status, error=error, form="mail", typed=typed)
    flash("Saved. Send a test notice to see it arrive.")
    return redirect(url_for(".show"), 303)


@bp.post("/webhook")
@allow("admin")
@recently
def save_webhook() -> ResponseReturnValue:
    private = request.form.get("private") == "on"
    try:
        notices.save_webhook(request.form.get("url", "")[:2000], private, current_actor())
    except InvalidInput as error:
        return _page(status=error.status, error=error, form="webhook")
    flash("Saved. Send a test notice to see it arrive.")
    return redirect(url_for(".show"), 303)


@bp.post("/<kind>/test")
@allow("admin")
def send_test(kind: str) -> ResponseReturnValue:
    try:
        notices.send_test(kind, current_actor())
    except Refused as refusal:
        return _page(status=refusal.status, error=refusal, form=kind)
    flash(f"A test notice is sent by {notices.KINDS[kind]}. Look whether it has arrived.")
    return redirect(url_for(".show"), 303)


@bp.post("/<kind>/state")
@allow("admin")
def set_state(kind: str) -> ResponseReturnValue:
    match request.form.get("wanted", ""):
        case "on" | "off" as wanted:
            notices.switch(kind, wanted == "on", current_actor())
        case "none":
            notices.remove(kind, current_actor())
        case _:
            raise InvalidInput("Choose on, off or none.", field="wanted")
    return redirect(url_for(".show"), 303)


def _page(status: int = 200, typed: notices.Mail | None = None, **more: Any) -> ResponseReturnValue:
    mail, webhook = notices.of("mail"), notices.of("webhook")
    if typed is None and mail is not None:
        kept = mail.settings
        typed = notices.Mail(
            kept["host"], str(kept["port"]), kept["security"], kept["user"], "", kept["sender"],
            "\n".join(kept["recipients"]), bool(mail.allowances),
        )  # fmt: skip
    return page(
        "notices/show.html", status=status, mail=mail, webhook=webhook, typed=typed or notices.Mail(),
        security=channels.SECURITY, every=settings().notice_seconds, **more,
    )  # fmt: skip
