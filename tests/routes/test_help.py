"""Help: at the same place of every page, and leading only to what is there."""

from __future__ import annotations

import re

from flask import Flask

from tests.routes.visitors import Visitor


def test_help_is_in_the_foot_of_every_page(viewer: Visitor) -> None:
    for path in ("/", "/approvals", "/tools", "/activity", "/settings/integrations", "/account", "/help"):
        foot = viewer.get(path).partition("<footer>")[2]
        assert foot.index('<a href="/help">Help</a>') < foot.index("times are in")


def test_its_links_lead_somewhere_for_everybody(app: Flask) -> None:
    for role in ("viewer", "technician", "admin"):
        visitor = Visitor.signed_in(app, role)
        main = visitor.get("/help").partition("<main")[2].partition("</main>")[0]
        links = set(re.findall(r'href="(/[^"]*)"', main))
        assert len(links) >= 4
        for link in links:
            visitor.get(link.replace("&amp;", "&"))
