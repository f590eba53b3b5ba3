// The same three tools for every server here that is built with the TypeScript SDK, served over streamable HTTP.
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import express from "express";
import { z } from "zod";

export const READ = "notes:read";
export const WRITE = "notes:write";

const written = [];
const said = (text) => ({ content: [{ type: "text", text }] });

function notes() {
  const server = new McpServer({ name: "notes", version: "1.0.0" });
  server.registerTool(
    "list_notes",
    { description: "Lists all notes.", annotations: { readOnlyHint: true } },
    () => said(written.join("\n") || "No notes."),
  );
  server.registerTool(
    "who_am_i",
    { description: "Tells whose token this is.", annotations: { readOnlyHint: true } },
    ({ authInfo }) => said(String(authInfo.extra?.subject)),
  );
  server.registerTool(
    "add_note",
    {
      description: "Writes a note.",
      inputSchema: { text: z.string() },
      annotations: { readOnlyHint: false, destructiveHint: false },
    },
    ({ text }) => said(`Written: note ${written.push(text)}.`),
  );
  return server;
}

// `bearer(scopes)` is the SDK's guard: reading and listing ask for one scope, writing for both.
export function serveNotes(app, bearer) {
  const reads = bearer([READ]);
  const writes = bearer([READ, WRITE]);
  const isWrite = ({ body }) => body?.method === "tools/call" && body.params?.name === "add_note";
  const door = (request, response, next) => (isWrite(request) ? writes : reads)(request, response, next);
  app.all("/mcp", express.json(), door, async (request, response) => {
    if (request.method !== "POST") return void response.sendStatus(405);
    const server = notes();
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    response.on("close", () => server.close());
    await server.connect(transport);
    await transport.handleRequest(request, response, request.body);
  });
}
