// An agent's program made with the TypeScript SDK: what it came to see of a server, as JSON, once it has seen it all.
// node session.mjs SDK URL KEY MODE CALLS: SDK is 1 or 2; MODE is for 2, and says in which era it begins; CALLS are
// what to call in turn, by any name.
const [sdk, url, key, mode, calls] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport } = sdk === "2"
  ? await import("@modelcontextprotocol/client")
  : {
      ...(await import("@modelcontextprotocol/sdk/client/index.js")),
      ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
    };

const client = new Client({ name: "session", version: "1" }, sdk === "2" ? { versionNegotiation: { mode } } : {});
const headers = { Authorization: `Bearer ${key}` };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
await client.connect(transport);

async function answer(call) {
  const progress = [];
  const options = { onprogress: (told) => progress.push(told), timeout: 120_000 };
  try {
    const result = sdk === "2"
      ? await client.callTool(call, options)
      : await client.callTool(call, undefined, options);
    return { result, progress };
  } catch (error) {
    return { thrown: String(error), code: error.code, progress };
  }
}

const { tools } = await client.listTools();
const version = sdk === "2" ? client.getNegotiatedProtocolVersion() : transport.protocolVersion;
const seen = { version, tools, answers: {} };
for (const [name, call] of Object.entries(JSON.parse(calls))) seen.answers[name] = await answer(call);
console.log(JSON.stringify(seen));
await client.close();
