"""The other side of a measurement in one process: the model (`stub_llm.py`) and every user's MCP server (`stub_mcp.py`).

    python -m bench.stubs --model-port 9900 --mcp-port 9901 [--tokens 50]

`GET /times` of the MCP server tells, on the machine's monotonic clock, when each was asked.
"""

import argparse
import asyncio
import time
from collections import deque
from typing import Any

import uvloop

from bench import stub_llm
from bench.stub_mcp import TIMES_KEPT, McpConnection, Workspaces

# Users by the hundred connect at once.
BACKLOG = 4096


class _TimedModel(stub_llm.Conn):  # type: ignore[misc]  # the stub has no types
    """The stub's connection, which notes when a request has come whole."""

    # The base has slots, and data_received reads them; what is noted is shared by all connections.
    times: deque[tuple[str, float]] = deque(maxlen=TIMES_KEPT)

    def handle(self, head: bytes, body: bytes) -> None:
        """Answer a request."""
        if head.startswith(b"post") and b"/chat/completions" in head:
            self.times.append(("model", time.monotonic()))
        super().handle(head, body)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-port", type=int, required=True)
    parser.add_argument("--mcp-port", type=int, required=True)
    parser.add_argument("--tokens", type=int, default=50)
    uvloop.run(_serve(parser.parse_args()))


async def _serve(options: argparse.Namespace) -> None:
    loop, workspaces, times = asyncio.get_running_loop(), Workspaces(), _TimedModel.times
    defaults = argparse.Namespace(
        tokens=options.tokens, delay_ms=0, ttft_ms=0, write="each", tool="", tool_args="{}", usage="always"
    )
    model = stub_llm.Stub(defaults, loop)
    servers: list[Any] = [
        await loop.create_server(lambda: _TimedModel(model), "127.0.0.1", options.model_port, backlog=BACKLOG),
        await loop.create_server(
            lambda: McpConnection(workspaces, times), "127.0.0.1", options.mcp_port, backlog=BACKLOG
        ),
    ]
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    main()
