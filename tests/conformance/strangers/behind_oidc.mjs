// An MCP server whose tokens come from npm's oidc-provider, on a port of its own.
//   node behind_oidc.mjs --port N --issuer URL --life SECONDS                         anybody may register
//   … --client-id ID --client-secret SECRET --redirect-uri URL                        nobody may; one client is known
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";

import { InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import { getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter } from "@modelcontextprotocol/sdk/server/auth/router.js";
import express from "express";
import { createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify } from "jose";
import Provider, { errors } from "oidc-provider";

import { READ, serveNotes, WRITE } from "./notes.mjs";

const names = ["port", "issuer", "life", "client-id", "client-secret", "redirect-uri"];
const { values: asked } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: "string" }])) });
const byHand = Boolean(asked["client-id"]);
const issuer = new URL(asked.issuer);
const resource = new URL(`http://127.0.0.1:${asked.port}/mcp`);
const random = () => randomBytes(24).toString("base64url");

// The notes asking whether a token is good: oidc-provider wants to know who introspects.
const asker = { client_id: "notes", client_secret: random(), grant_types: [], response_types: [], redirect_uris: [] };
const known = {
  client_id: asked["client-id"],
  client_secret: asked["client-secret"],
  redirect_uris: [asked["redirect-uri"]],
  grant_types: ["authorization_code", "refresh_token"],
  token_endpoint_auth_method: "client_secret_basic",
};
const { privateKey } = await generateKeyPair("RS256", { extractable: true });

const oidc = new Provider(issuer.href.replace(/\/$/, ""), {
  clients: byHand ? [known] : [asker],
  scopes: ["openid", "offline_access", READ, WRITE],
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  jwks: { keys: [{ ...(await exportJWK(privateKey)), use: "sig", alg: "RS256" }] },
  cookies: { keys: [random()] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { AccessToken: Number(asked.life), AuthorizationCode: 60, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 86400 },
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: !byHand },
    revocation: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, indicator) => {
        if (indicator !== resource.href) throw new errors.InvalidTarget();
        const format = byHand ? "jwt" : "opaque";
        return { scope: `${READ} ${WRITE}`, audience: resource.href, accessTokenFormat: format, accessTokenTTL: Number(asked.life) };
      },
    },
  },
});

const keys = createRemoteJWKSet(new URL(`${oidc.issuer}/jwks`));

async function readJwt(token) {
  const { payload } = await jwtVerify(token, keys, { issuer: oidc.issuer, audience: resource.href }).catch((error) => {
    throw new InvalidTokenError(error.code);
  });
  return payload;
}

async function introspect(token) {
  const authorization = `Basic ${btoa(`${asker.client_id}:${asker.client_secret}`)}`;
  const body = new URLSearchParams({ token });
  const answer = await fetch(`${oidc.issuer}/token/introspection`, { method: "POST", headers: { authorization }, body });
  const claims = await answer.json();
  if (!claims.active || !claims.aud) throw new InvalidTokenError("Unknown, expired or for no resource");
  return claims;
}

const verifier = {
  async verifyAccessToken(token) {
    const { client_id: clientId, scope, aud, exp: expiresAt, sub: subject } = await (byHand ? readJwt : introspect)(token);
    return { token, clientId, scopes: (scope ?? "").split(" "), resource: new URL(aud), expiresAt, extra: { subject } };
  },
};

const signIn = express();
signIn.use(issuer.pathname, oidc.callback());
signIn.listen(Number(issuer.port), "127.0.0.1", async () => {
  const oauthMetadata = await (await fetch(`${oidc.issuer}/.well-known/openid-configuration`)).json();
  const scopesSupported = byHand ? ["openid", READ, WRITE] : [READ, WRITE];
  const app = express();
  app.use(mcpAuthMetadataRouter({ oauthMetadata, resourceServerUrl: resource, scopesSupported, resourceName: "Notes" }));
  serveNotes(app, (scopes) =>
    requireBearerAuth({
      verifier,
      requiredScopes: byHand ? [] : scopes, // with some, the 401 names them; without, only the metadata does
      resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resource),
      expectedResource: resource,
    }),
  );
  app.listen(resource.port, "127.0.0.1");
});
