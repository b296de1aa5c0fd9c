"""Everything that one user's server works on, opened once at start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcp_server.archive.exports import Exports
from mcp_server.backtests.store import Backtests
from mcp_server.deployments.desk import Desk
from mcp_server.deployments.store import Deployments
from mcp_server.embeddings.models import chosen
from mcp_server.embeddings.retrieval import Retrieval
from mcp_server.market.catalogue import Catalogue
from mcp_server.sandbox import Sandbox
from mcp_server.storage.conversations import Conversations
from mcp_server.storage.database import Database
from mcp_server.storage.documents import Documents
from mcp_server.storage.memories import Memories
from mcp_server.storage.preferences import PreferenceStore
from mcp_server.storage.quota import TIER_BYTES
from mcp_server.strategies.store import Strategies


@dataclass(frozen=True, slots=True)
class Choices:
    """What whoever runs the server may choose: a quota instead of the tier's, and the module that finds by meaning.

    `embeddings` is 'none' for words only, None for the installed model if there is one.
    """

    quota_bytes: int | None = None
    embeddings: str | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    """The user's stores and instruments."""

    user: str
    tier: str
    database: Database
    catalogue: Catalogue
    conversations: Conversations
    memories: Memories
    preferences: PreferenceStore
    documents: Documents
    exports: Exports
    retrieval: Retrieval
    sandbox: Sandbox
    strategies: Strategies
    backtests: Backtests
    desk: Desk

    def close(self) -> None:
        """End what runs and let go of the files."""
        self.sandbox.close()
        self.retrieval.close()
        self.catalogue.close()
        self.database.close()


def open_workspace(
    folder: Path, *, user: str, tier: str, unconfined: bool = False, choices: Choices = Choices()
) -> Workspace:
    """Open the user's data folder, made when it is missing. Raises ForeignFolder when it is another user's.

    `unconfined` runs strategy code even where the kernel can't confine it.
    """
    database = Database(folder, user=user, quota_bytes=choices.quota_bytes or TIER_BYTES[tier])
    catalogue = Catalogue(database)
    sandbox = Sandbox(tier=tier, unconfined=unconfined, spare=folder)
    strategies = Strategies(database)
    return Workspace(
        user=user,
        tier=tier,
        database=database,
        catalogue=catalogue,
        conversations=Conversations(database),
        memories=Memories(database),
        preferences=PreferenceStore(database),
        documents=Documents(database),
        exports=Exports(database),
        retrieval=Retrieval(database, sandbox, module=chosen(choices.embeddings)),
        sandbox=sandbox,
        strategies=strategies,
        backtests=Backtests(database),
        desk=Desk(Deployments(database), strategies=strategies, catalogue=catalogue, sandbox=sandbox),
    )
