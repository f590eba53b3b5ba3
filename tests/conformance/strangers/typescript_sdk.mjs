// An MCP server behind the TypeScript SDK's own sign-in: node typescript_sdk.mjs <port> <seconds an access token lives>
import { randomBytes } from "node:crypto";

import { InvalidGrantError, InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import { getOAuthProtectedResourceMetadataUrl, mcpAuthRouter } from "@modelcontextprotocol/sdk/server/auth/router.js";
import express from "express";

import { READ, serveNotes, WRITE } from "./notes.mjs";

const [port, life] = process.argv.slice(2).map(Number);
const issuerUrl = new URL(`http://127.0.0.1:${port}`);
const resourceServerUrl = new URL("/mcp", issuerUrl);
const random = () => randomBytes(24).toString("base64url");
const seconds = () => Math.floor(Date.now() / 1000);

class Clients {
  #known = new Map();
  getClient(id) {
    return this.#known.get(id);
  }
  registerClient(client) {
    this.#known.set(client.client_id, client);
    return client;
  }
}

// A grant is what one consent gave; its tokens end with it.
class Provider {
  clientsStore = new Clients();
  #asked = new Map();
  #codes = new Map();
  #access = new Map();
  #refresh = new Map();

  async authorize(client, params, response) {
    const id = random();
    this.#asked.set(id, { client, params });
    response.type("html").send(page(client.client_name ?? client.client_id, id));
  }

  answer({ request, name, choice }) {
    const { client, params } = this.#asked.get(request);
    this.#asked.delete(request);
    const target = new URL(params.redirectUri);
    if (choice === "allow") {
      const scopes = params.scopes.length ? params.scopes : [READ];
      const code = random();
      this.#codes.set(code, { ...params, scopes, clientId: client.client_id, subject: name, alive: true });
      target.searchParams.set("code", code);
    } else {
      target.searchParams.set("error", "access_denied");
    }
    if (params.state !== undefined) target.searchParams.set("state", params.state);
    return target.href;
  }

  async challengeForAuthorizationCode(client, code) {
    return this.#of(this.#codes, client, code).codeChallenge;
  }

  async exchangeAuthorizationCode(client, code, _verifier, redirectUri) {
    const grant = this.#of(this.#codes, client, code);
    this.#codes.delete(code);
    if (redirectUri !== grant.redirectUri) throw new InvalidGrantError("Another return address");
    return this.#tokens(grant);
  }

  async exchangeRefreshToken(client, token) {
    const grant = this.#of(this.#refresh, client, token);
    if (grant.current !== token) {
      grant.alive = false;
      throw new InvalidGrantError("This refresh token was used before");
    }
    return this.#tokens(grant);
  }

  async verifyAccessToken(token) {
    const issued = this.#access.get(token);
    if (!issued?.grant.alive) throw new InvalidTokenError("Unknown token");
    const { clientId, scopes, resource, subject } = issued.grant;
    return { token, clientId, scopes, resource, expiresAt: issued.expiresAt, extra: { subject } };
  }

  async revokeToken(client, { token }) {
    const grant = this.#refresh.get(token) ?? this.#access.get(token)?.grant;
    if (grant?.clientId === client.client_id) grant.alive = false;
  }

  #of(kept, client, value) {
    const grant = kept.get(value);
    if (!grant?.alive || grant.clientId !== client.client_id) throw new InvalidGrantError("Unknown or ended");
    return grant;
  }

  #tokens(grant) {
    const access = random();
    grant.current = random();
    this.#access.set(access, { grant, expiresAt: seconds() + life });
    this.#refresh.set(grant.current, grant);
    const scope = grant.scopes.join(" ");
    return { access_token: access, token_type: "bearer", expires_in: life, refresh_token: grant.current, scope };
  }
}

const safe = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const page = (client, request) => `<!doctype html><title>Notes</title><h1>Let ${safe(client)} use your notes?</h1>
<form method="post" action="/consent"><input type="hidden" name="request" value="${request}">
<label>Your name <input name="name" required></label>
<button name="choice" value="allow">Allow</button> <button name="choice" value="refuse" formnovalidate>Refuse</button></form>`;

const provider = new Provider();
const app = express();
app.use(mcpAuthRouter({ provider, issuerUrl, resourceServerUrl, scopesSupported: [READ, WRITE], resourceName: "Notes" }));
app.post("/consent", express.urlencoded(), (request, response) => response.redirect(303, provider.answer(request.body)));
serveNotes(app, (requiredScopes) =>
  requireBearerAuth({
    verifier: provider,
    requiredScopes,
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resourceServerUrl),
    expectedResource: resourceServerUrl,
  }),
);
app.listen(port, "127.0.0.1");
