"""The MCP server of one workspace: its tools, resources and prompts put together."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.tools import Tool

from mcp_server import __version__
from mcp_server.activity import Activity
from mcp_server.backtests.computing import Computing
from mcp_server.backtests.placing import Counter
from mcp_server.strategies.validation import Validator
from mcp_server.tools.backtests import BacktestTools
from mcp_server.tools.conversations import ConversationTools
from mcp_server.tools.data import DataTools
from mcp_server.tools.deployments import DeploymentTools
from mcp_server.tools.documents import DocumentTools
from mcp_server.tools.indicators import IndicatorTools
from mcp_server.tools.market import MarketTools
from mcp_server.tools.memory import MemoryTools
from mcp_server.tools.offer import Offer, tool_of
from mcp_server.tools.places import BEYOND_JOBS, Places
from mcp_server.tools.preferences import PreferenceTools
from mcp_server.tools.prompts import add_prompts
from mcp_server.tools.resources import Resources
from mcp_server.tools.strategies import StrategyTools
from mcp_server.workspace import Workspace

INSTRUCTIONS = (
    "The trading workspace of one user: price bars, indicators, strategies and their paper deployments, memories, "
    "preferences and conversations. "
    "Market figures come from here, never from memory; say the dates they are for. Read context://profile first."
)


def build_server(workspace: Workspace, activity: Activity) -> MCPServer[Any]:
    """The server with every tool, resource and prompt; `activity` sees each request."""
    offered = tools(workspace)
    activity.know({tool.name for tool in offered})
    server: MCPServer[Any] = MCPServer(
        "dexorder-workspace",
        title="Dexorder workspace",
        version=__version__,
        instructions=INSTRUCTIONS,
        tools=offered,
        log_level="WARNING",
        middleware=[activity],
    )
    Resources(workspace).add_to(server)
    add_prompts(server)
    return server


def tools(workspace: Workspace) -> list[Tool]:
    """The offers as tools: what one of them began with never comes back into a file that took the place of another."""
    places = Places(workspace.sandbox.at_once + BEYOND_JOBS)
    return [
        tool_of(offer, within=workspace.database.same_file, place=places.one if offer.heavy else nullcontext)
        for offer in offers(workspace)
    ]


def offers(workspace: Workspace) -> list[Offer]:
    """All tools, in the order in which a client lists them."""
    return [
        *MarketTools(workspace.catalogue, workspace.sandbox).offers(),
        *IndicatorTools(workspace.catalogue, workspace.sandbox).offers(),
        *StrategyTools(workspace.strategies, Validator(workspace.catalogue, workspace.sandbox)).offers(),
        *_backtest_tools(workspace).offers(),
        *DeploymentTools(workspace.desk).offers(),
        *MemoryTools(workspace.memories, workspace.retrieval).offers(),
        *DocumentTools(workspace.documents, workspace.retrieval, workspace.sandbox).offers(),
        *ConversationTools(workspace.conversations).offers(),
        *PreferenceTools(workspace.preferences).offers(),
        *DataTools(workspace.database, workspace.exports).offers(),
    ]


def _backtest_tools(workspace: Workspace) -> BacktestTools:
    return BacktestTools(
        Counter(workspace.strategies, workspace.catalogue),
        Computing(workspace.sandbox),
        workspace.backtests,
        workspace.preferences,
    )
