"""The addresses of the OAuth door, all under the name by which we were asked, and how parameters are added to one."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

from starlette.requests import HTTPConnection

RESOURCE_METADATA = "/.well-known/oauth-protected-resource/oauth/mcp"
SERVER_METADATA = "/.well-known/oauth-authorization-server/oauth"
OPENID_METADATA = "/oauth/.well-known/openid-configuration"


@dataclass(frozen=True)
class Addresses:
    base: str

    @classmethod
    def of(cls, connection: HTTPConnection) -> Addresses:
        return cls(f"{connection.url.scheme}://{connection.headers['host'].lower()}")

    @property
    def issuer(self) -> str:
        """With a path: at the root, the bearer door would seem to have a sign-in service too."""
        return f"{self.base}/oauth"

    @property
    def resource(self) -> str:
        return f"{self.base}/oauth/mcp"

    @property
    def resource_metadata(self) -> str:
        return self.base + RESOURCE_METADATA


def with_params(url: str, **params: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, urlencode(params)]))))
