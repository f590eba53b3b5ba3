"""Many policies at once: the preview, the change, the page of a change that is done, and its Undo."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from werkzeug.datastructures import MultiDict

from webapp.errors import InvalidInput, Stale
from webapp.routes.guards import allow, current_actor, current_user
from webapp.routes.replies import page
from webapp.routes.rows import people
from webapp.routes.tools import wanted
from webapp.services import bulk, plans, wishes
from webapp.services.bulk import Selection
from webapp.services.wishes import Wish
from webapp.store.models import BulkChange, BulkItem

bp = Blueprint("bulk", __name__, url_prefix="/tools/bulk")

MOST_NAMED = 200
LONGEST_ADDRESS = 6000


@bp.app_template_global()
def presets() -> list[Wish]:
    return wishes.PRESETS


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    return page(
        "tools/bulk_index.html", changes=[(one, _size(one)) for one in bulk.latest()], people=people()
    )


@bp.get("/preview")
@allow("technician")
def preview() -> ResponseReturnValue:
    return _preview(request.args)


@bp.post("")
@allow("technician")
def change() -> ResponseReturnValue:
    """At once where it is few and loosens no write; else only with the digest of a preview."""
    form = request.form
    wish, selection, seen = wishes.named(form.get("to", "")), _selection(form), form.get("seen", "")
    if not seen and bulk.plan(selection, wish, current_user().role).needs_preview:
        return _to_preview(selection, wish)
    try:
        done = bulk.change(selection, wish, current_actor(), seen=seen)
    except (Stale, InvalidInput) as error:
        if isinstance(error, InvalidInput) and error.field != "tool":
            raise
        return _preview(form, error)
    _say(done)
    return redirect(_list(selection), 303)


@bp.get("/<bulk_id>")
@allow("viewer")
def show(bulk_id: str) -> ResponseReturnValue:
    return _show(bulk.find(bulk_id))


@bp.post("/<bulk_id>/undo")
@allow("technician")
def undo(bulk_id: str) -> ResponseReturnValue:
    before = bulk.find(bulk_id)
    try:
        done = bulk.undo(before, current_actor())
    except Stale as error:
        return _show(before, error)
    return redirect(url_for(".show", bulk_id=done.id), 303)


def _preview(given: MultiDict[str, str], error: Stale | InvalidInput | None = None) -> ResponseReturnValue:
    wish, selection = wishes.named(given.get("to", "")), _selection(given)
    plan = bulk.plan(selection, wish, current_user().role)
    return page(
        "tools/bulk_preview.html",
        status=error.status if error else 200,
        error=error,
        wish=wish,
        plan=plan,
        nothing="" if plan.steps else plans.nothing(plan),
        fields=_fields(selection, wish),
        back=_list(selection),
        most_named=MOST_NAMED,
    )


def _to_preview(selection: Selection, wish: Wish) -> ResponseReturnValue:
    """A page with an address of its own can be gone back to; proxies take no endless ones."""
    address = f"{url_for('.preview')}?{urlencode(_fields(selection, wish))}"
    return redirect(address, 303) if len(address) < LONGEST_ADDRESS else _preview(request.form)


def _show(change: BulkChange, error: Stale | None = None) -> ResponseReturnValue:
    undoing = bulk.undoing(change, current_user().role)
    items = BulkItem.select().where(BulkItem.bulk == change).order_by(BulkItem.catalogue_name)
    return page(
        "tools/bulk.html",
        status=error.status if error else 200,
        error=error,
        change=change,
        size=_size(change),
        items=list(items.limit(MOST_NAMED)),
        undoing=undoing,
        undone_by=list(BulkChange.select().where(BulkChange.undoes == change).order_by(BulkChange.at)),
        most_named=MOST_NAMED,
        people=people(),
    )


def _selection(given: MultiDict[str, str]) -> Selection:
    if given.get("which") == "all":
        return Selection(wanted(given))
    ids = tuple(int(id) for id in given.getlist("tool") if id.isascii() and id.isdigit() and len(id) < 19)
    return Selection(wanted(given), ids)


def _fields(selection: Selection, wish: Wish) -> list[tuple[str, str]]:
    """What the form of the preview sends again."""
    pairs = [*selection.wanted.filters().items(), ("sort", selection.wanted.order), ("to", wish.name)]
    pairs += [("from", request.values.get("from", ""))]
    if selection.ids is None:
        pairs.append(("which", "all"))
    else:
        pairs += [("tool", str(id)) for id in selection.ids]
    return [(name, value) for name, value in pairs if value]


def _list(selection: Selection) -> str:
    """The table the form was in, with its filter."""
    arguments = selection.wanted.as_arguments()
    if request.values.get("from") == "server" and selection.wanted.integration:
        name = arguments.pop("integration")
        return url_for("integrations.show", name=name, **arguments)
    return url_for("tools.index", **arguments)


def _say(done: BulkChange) -> None:
    size, undo = _size(done), url_for(".show", bulk_id=done.id)
    tools = "1 tool" if size == 1 else f"{size} tools"
    flash(Markup('{} set {}. <a href="{}">See the change or undo it</a>').format(tools, done.what, undo))


def _size(change: BulkChange) -> int:
    count: int = BulkItem.select().where(BulkItem.bulk == change).count()
    return count
