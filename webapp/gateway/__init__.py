"""What an agent can ask for: the MCP endpoint, the catalogue it sees, the calls it makes."""
