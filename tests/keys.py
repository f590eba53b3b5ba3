"""What the pages of agents hold: the key, once, and what is pasted from them."""

from __future__ import annotations

import html
import re

AGENTS = "/settings/agents"
KEY = re.compile(r"gh_[a-z2-9]{8}_[A-Za-z0-9_-]{43}")


def block(page: str, id: str) -> str:
    """The text of one block with a copy button."""
    found = re.search(rf'<pre id="{id}"[^>]*>(.*?)</pre>', page, re.S)
    assert found, f"no block {id}"
    assert f'data-copy="#{id}"' in page
    return html.unescape(found[1])


def key_in(page: str) -> str:
    return block(page, "agent-key")
