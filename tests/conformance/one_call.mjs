// The TypeScript SDK's client lists the tools and calls one: what it makes of the answer, as JSON.
// node one_call.mjs URL KEY TOOL ARGUMENTS
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, key, name, given] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${key}` };
const client = new Client({ name: "one-call", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
await client.listTools();
try {
  console.log(JSON.stringify(await client.callTool({ name, arguments: JSON.parse(given) })));
} catch (error) {
  console.log(JSON.stringify({ thrown: String(error) }));
}
await client.close();
