"""What is published: the server's resource metadata, the sign-in service's own, and the paths of both."""

from __future__ import annotations

from typing import Any

from tests.authority.faults import Faults

TENANT = "/tenant"
RESOURCE_METADATA = "/.well-known/oauth-protected-resource"
SERVICE_METADATA = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
MCP = "/mcp"
# Every path where something could be published, and the fault under which it is there.
FORMS = {
    SERVICE_METADATA: "",
    OPENID: "oidc",
    SERVICE_METADATA + TENANT: "inserted",
    OPENID + TENANT: "oidc-inserted",
    TENANT + OPENID: "appended",
}
PAGES = {
    "http": "http://signin.example/authorize",
    "javascript": "javascript:alert(document.cookie)//",
    "userinfo": "https://signin.example:pass@evil.example/authorize",
}


def issuer(origin: str, faults: Faults) -> str:
    return origin + (TENANT if faults.metadata in ("inserted", "oidc-inserted", "appended") else "")


def lure(kind: str, decoy: str, path: str) -> str:
    return {"link-local": "http://169.254.169.254", "private": "http://10.0.0.1", "decoy": decoy}[kind] + path


def of_resource(origin: str, decoy: str, faults: Faults) -> dict[str, Any]:
    services = faults.authorization_servers
    if kind := faults.lures.get("authorization_servers"):
        services = [lure(kind, decoy, "")]
    document: dict[str, Any] = {
        "resource": faults.resource if faults.resource_metadata == "elsewhere" else origin + MCP,
        "authorization_servers": [issuer(origin, faults)] if services is None else services,
    }
    if faults.resource_scopes is not None:
        document["scopes_supported"] = list(faults.resource_scopes)
    return document


def of_service(origin: str, decoy: str, faults: Faults) -> dict[str, Any]:
    document: dict[str, Any] = {
        "issuer": faults.issuer or issuer(origin, faults),
        "authorization_endpoint": _page(origin, faults),
        "token_endpoint": origin + "/token",
        "registration_endpoint": None if faults.registration == "absent" else origin + "/register",
        "revocation_endpoint": None if faults.revocation == "absent" else origin + "/revoke",
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": faults.auth_methods and list(faults.auth_methods),
        "code_challenge_methods_supported": {"S256": ["S256"], "plain": ["plain"]}.get(faults.pkce),
        "scopes_supported": faults.scopes and list(faults.scopes),
        "authorization_response_iss_parameter_supported": None if "unpromised" in faults.iss else True,
        "client_id_metadata_document_supported": faults.client_documents or None,
    }
    document |= faults.published
    for name, kind in faults.lures.items():
        if name not in ("resource_metadata", "authorization_servers", "redirect"):
            document[name] = lure(kind, decoy, "/" + name)
    return {name: value for name, value in document.items() if value is not None}


def _page(origin: str, faults: Faults) -> str:
    if faults.page == "query":
        return origin + "/authorize?tenant=blue%20sky"
    return PAGES.get(faults.page, origin + "/authorize")
