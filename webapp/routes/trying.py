"""Trying a tool: its form, the question before a write, the result. It runs on the path that agents' calls take."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput, Refused, Stale, TooMany
from webapp.routes.guards import allow, current_actor, settings
from webapp.routes.replies import is_htmx, page
from webapp.services import desk, results, schema_form, sentences, throttle, tools, visible
from webapp.services.desk import Outcome
from webapp.services.schema_form import MORE, Form
from webapp.services.throttle import Limit
from webapp.store.models import Tool

bp = Blueprint("trying", __name__, url_prefix="/tools")
ONCE = Limit(1, 24 * 3600)
OFFERED = ("connected", "needs_review", "needs_sign_in", "unreachable")


@dataclass
class Try:
    """One try as the page shows it. `step`: form, confirm, or result."""

    tool: Tool
    form: Form
    typed: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)  # mistakes that belong to no field
    refusal: Refused | None = None
    step: str = "form"
    arguments: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome | None = None
    number: str = ""  # of this question; a yes counts once

    @property
    def status(self) -> int:
        if self.refusal:
            return self.refusal.status
        return InvalidInput.status if self.errors or self.others else 200

    @property
    def hindrance(self) -> str:
        """Why it can't be tried at all; empty when it can."""
        if self.tool.missing_since:
            return "It is gone from its server."
        if self.tool.integration.state not in OFFERED:
            return f"{self.tool.integration.title} is paused, or its set-up is not finished."
        if self.tool.policy == "disabled":
            return "It is Disabled, for people as well as for agents."
        return ""

    @property
    def asks_first(self) -> bool:
        return desk.asks_first(self.tool.policy, self.tool.kind)

    @property
    def needs_second(self) -> bool:
        return desk.needs_second(self.tool, self.tool.policy)

    @property
    def result(self) -> results.Shown | None:
        return results.shown(self.outcome.result) if self.outcome else None

    @property
    def outcome_words(self) -> sentences.Outcome | None:
        return sentences.OUTCOMES.get(self.outcome.outcome) if self.outcome else None

    @property
    def wait_ms(self) -> int:
        """How long the browser waits: longer than any call may take."""
        return int(settings().call_seconds + 40) * 1000

    @property
    def agent_call(self) -> str:
        params = {"name": self.tool.wire_name, "arguments": self.arguments}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        text = json.dumps(call, indent=2, ensure_ascii=False)
        return json.dumps(call, indent=2) if visible.has_hidden(text) else text


@bp.get("/<tool:catalogue_name>/try")
@allow("admin")
def show(catalogue_name: str) -> ResponseReturnValue:
    tool = tools.by_catalogue_name(catalogue_name)
    form = schema_form.form_for(tool.definition.get("inputSchema"))
    return _answer(Try(tool, form, {one.key: one.default for one in form.fields}))


@bp.post("/<tool:catalogue_name>/try")
@allow("admin")
def run(catalogue_name: str) -> ResponseReturnValue:
    tool = tools.by_catalogue_name(catalogue_name)
    schema = tool.definition.get("inputSchema")
    this = Try(tool, schema_form.form_for(schema))
    if request.form.get("seen") != tool.definition_digest:
        this.refusal = Stale(
            "The definition of this tool has changed since this page was made.",
            next_step="This is its form now: fill it in again.",
        )
        return _answer(this)
    this.typed = {key: request.form.get(key, "") for key in (*(one.key for one in this.form.fields), MORE)}
    _read(this, schema)
    if not this.errors and not this.others:
        _go_on(this, request.form.get("step", ""))
    return _answer(this)


def _read(this: Try, schema: Any) -> None:
    reading = schema_form.read(this.form, this.typed)
    this.arguments, this.errors = reading.arguments, dict(reading.errors)
    keys = {one.name: one.key for one in this.form.fields}
    for name, sentence in schema_form.mistakes(reading.arguments, schema):
        if (key := keys.get(name)) and (name in reading.arguments or key in this.errors):
            this.errors.setdefault(key, sentence)
        else:
            this.others.append(sentence)


def _go_on(this: Try, step: str) -> None:
    """To the question, to the run, or back to the form."""
    if step == "change":
        return
    if this.asks_first and step != "confirmed":
        this.step, this.number = "confirm", secrets.token_hex(8)
        return
    try:
        if this.asks_first:
            _only_once(request.form.get("number", ""))
        this.outcome = desk.current().run(
            this.tool, this.arguments, current_actor(), purpose="try", confirmed=this.asks_first
        )
        this.step = "result"
    except Refused as refusal:
        this.refusal = refusal


def _only_once(number: str) -> None:
    """A double click, or a page loaded again, is no second yes."""
    try:
        throttle.count(f"try {number[:40]}", ONCE)
    except TooMany as again:
        raise Stale(
            "This form was sent already, so the tool was not run a second time.",
            next_step="Look in its history what became of the first. To run it again, send the form anew.",
        ) from again


def _answer(this: Try) -> ResponseReturnValue:
    template = "trying/_try.html" if is_htmx() else "trying/show.html"
    return page(template, status=this.status, this=this, tool=this.tool)
