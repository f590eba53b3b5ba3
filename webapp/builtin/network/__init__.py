"""The network toolkit: what IT support asks the internet all day, without any key."""

from __future__ import annotations

from webapp.builtin.network import certificate, dns, mail, subnet, webhook, website
from webapp.builtin.tool import Builtin

_TOOLS = (dns.TOOL, mail.TOOL, certificate.TOOL, website.TOOL, subnet.TOOL, webhook.TOOL)

NETWORK = Builtin(
    name="network",
    title="Network toolkit",
    description=(
        "Look up DNS records, check a domain's mail set-up, inspect certificates, check websites and "
        "calculate subnets on the public internet, and send a message to your team's chat. No key is needed."
    ),
    tools={tool.definition["name"]: tool for tool in _TOOLS},
    secrets=(webhook.SECRET,),
    ports=certificate.PORTS,
)
