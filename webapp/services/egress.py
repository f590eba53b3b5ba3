"""The guard of each integration: what its own exceptions and the box's certificate authorities allow."""

from __future__ import annotations

from dataclasses import dataclass

from config import Config
from webapp.builtin import BUILTINS
from webapp.store.models import Integration
from webapp.upstream.egress import Allowance, Egress

HTTPS = frozenset({443})


@dataclass
class _Surroundings:
    ca_file: str | None = None


_surroundings = _Surroundings()


def configure(config: Config) -> None:
    _surroundings.ca_file = config.ca_file


def egress_for(integration: Integration) -> Egress:
    allowances = [Allowance(**allowance) for allowance in integration.allowances]
    builtin = BUILTINS.get(integration.name) if integration.kind == "builtin" else None
    ports = builtin.ports if builtin else HTTPS
    return Egress(allowances, ports=ports, ca_file=_surroundings.ca_file)
