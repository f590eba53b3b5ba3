// npm's oidc-provider, where people sign in to Gatehouse itself.
//   node provider.mjs --issuer URL --client-id ID --client-secret SECRET --redirect-uri URL
// Whoever types `ann.admin` is Ann, with the role admin; without a dot, somebody without a role.
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";

import express from "express";
import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";

const names = ["issuer", "client-id", "client-secret", "redirect-uri"];
const { values: asked } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: "string" }])) });
const issuer = new URL(asked.issuer);
const { privateKey } = await generateKeyPair("ES256", { extractable: true });

function claimsOf(sub) {
  const [name, role] = sub.split(".");
  return { sub, name, email: `${name}@vendor.example`, groups: role ? [role] : [] };
}

const oidc = new Provider(asked.issuer, {
  clients: [
    {
      client_id: asked["client-id"],
      client_secret: asked["client-secret"],
      redirect_uris: [asked["redirect-uri"]],
      grant_types: ["authorization_code"],
      id_token_signed_response_alg: "ES256",
    },
  ],
  claims: { openid: ["sub"], profile: ["name", "groups"], email: ["email"] },
  conformIdTokenClaims: false, // so that they stand in the ID token
  findAccount: (_, sub) => ({ accountId: sub, claims: () => claimsOf(sub) }),
  jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: "one", use: "sig", alg: "ES256" }] },
  cookies: { keys: [randomBytes(24).toString("base64url")] },
  pkce: { required: () => true },
  ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 86400, IdToken: 600, Interaction: 600, Session: 86400 },
  features: { devInteractions: { enabled: true } },
});

const app = express();
app.use(issuer.pathname, oidc.callback());
app.listen(Number(issuer.port), "127.0.0.1");
