"""The practice server: a make-believe support desk that speaks MCP, to try Gatehouse without a vendor.

    desk      tickets and devices, in memory        morning   how they look at the start
    tools     what agents may call                  toolbox   which tools are on offer right now
    calls     what arrived                          picture   a PNG without a drawing library
    doors     the ways in: open, bearer, oauth      page      what people see
    sign_in   the OAuth door's sign-in service      authority its rules, by Authlib
    issued    clients, grants, codes, tokens        ledger    which of them live
    html      pages with locked-down headers        turnstile who may call which tool at that door
    registration  how clients introduce themselves  addresses where all that is
    app       all of it as one ASGI program         guards    loopback only, no cross-site forms

With `python -m webapp.practice` it runs on 127.0.0.1:8001.
"""

from __future__ import annotations

from webapp.practice.app import create_app, serve

__all__ = ["create_app", "serve"]
