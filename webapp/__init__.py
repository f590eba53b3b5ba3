"""Gatehouse: tools for AI agents, with a person at the gate."""

from __future__ import annotations

from flask import Flask
from flask_wtf.csrf import CSRFProtect
from htmx_flask import Htmx
from peewee import DatabaseError
from werkzeug.middleware.proxy_fix import ProxyFix

from config import ROOT, Config
from webapp import cli, forms, routes
from webapp.errors import Refused
from webapp.routes import guards, headers, ids, pages
from webapp.services import (
    audit,
    condition,
    daily_backups,
    egress,
    identity,
    integrations,
    notices,
    providers,
    retention,
    sync,
)
from webapp.store.database import open_store
from webapp.store.models import database


def create_app(config: Config | None = None) -> Flask:
    """The table of contents: every part registers itself here."""
    config = config or cli.configured()
    try:
        open_store(config.data, config.database_url, config.backup_dir)
    except (Refused, DatabaseError) as problem:
        return cli.without_store(config, problem)
    egress.configure(config)
    identity.configure(config)
    sync.configure(config)
    notices.configure(config)
    retention.configure(config)
    daily_backups.configure(config)
    condition.configure(config)
    providers.configure(config)
    with database.connection_context():
        integrations.ensure_builtins()
        secret = audit.secret_for("flask-session")

    app = Flask("webapp", template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static"))
    app.extensions["gatehouse"] = config
    app.config.update(
        SECRET_KEY=secret,
        SESSION_COOKIE_NAME="form",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=config.secure,
        MAX_CONTENT_LENGTH=forms.LARGEST,
        WTF_CSRF_TIME_LIMIT=None,  # a page left open over lunch still works
        WTF_CSRF_SSL_STRICT=False,  # guards.refuse_cross_site looks at Origin, also where Referer is not sent
    )
    if config.forwarded_hops:
        # Each proxy adds an address; the one next to us says how the browser came. Host it passes as it is.
        hops = config.forwarded_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=1, x_host=0)  # type: ignore[method-assign]
    Htmx(app)
    headers.init_app(app)
    guards.init_app(app)
    csrf = CSRFProtect(app)
    pages.init_app(app)
    ids.init_app(app)
    routes.init_app(app)
    csrf.exempt("webapp.routes.health.csp_report")  # browsers send these without our token
    cli.init_app(app)
    return app
