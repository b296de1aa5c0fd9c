"""One user's workspace as an MCP server: market data, indicators, memory, conversations and preferences."""

__version__ = "1.0.0"
