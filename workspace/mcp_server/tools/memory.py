"""Tools over memories: remember, search, forget, list."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from mcp_server.embeddings.retrieval import FoundBy, Retrieval
from mcp_server.embeddings.vectors import MEMORIES
from mcp_server.storage.memories import Memories, Memory
from mcp_server.tools.offer import ADDS, READS, REPLACES, Offer

# A page that a model reads whole; search finds the rest.
MOST_LISTED = 100

Tag = Annotated[str, Field(min_length=1, max_length=40)]


class MemoryReply(BaseModel):
    """A memory; `created_at` is ISO 8601 in UTC."""

    id: str
    content: str
    tags: list[str]
    created_at: str


class MemoriesReply(BaseModel):
    """Memories, and how many there are in all."""

    memories: list[MemoryReply]
    total: int


class FoundMemoryReply(MemoryReply):
    """A memory that was found by its words, by its meaning, or by both."""

    found_by: FoundBy


class FoundMemoriesReply(BaseModel):
    """Memories, best match first, and how many there are in all; `note` says what the search could not do."""

    memories: list[FoundMemoryReply]
    total: int
    note: str | None


class ForgottenReply(BaseModel):
    """Whether there was such a memory."""

    id: str
    forgotten: bool


class MemoryTools:
    """Memories for a model."""

    def __init__(self, memories: Memories, retrieval: Retrieval) -> None:
        self._memories = memories
        self._retrieval = retrieval

    def offers(self) -> list[Offer]:
        return [
            Offer(self.remember, "Remember", ADDS),
            Offer(self.search_memory, "Search memory", READS),
            Offer(self.forget, "Forget", REPLACES),
            Offer(self.list_memories, "List memories", READS),
        ]

    def remember(
        self,
        content: Annotated[
            str,
            StringConstraints(strip_whitespace=True),
            Field(
                min_length=1,
                max_length=4000,
                description="One fact still useful in later conversations, e.g. 'Trades only US index futures.'",
            ),
        ],
        tags: Annotated[list[Tag], Field(max_length=10, description="Words to find it by, e.g. ['risk'].")] = [],  # noqa: B006 - never changed
    ) -> MemoryReply:
        """Remember a fact about the user or their trading for all later conversations.

        One fact a call, in a full sentence. The same content again is not kept twice. What has a key of its own among
        the preferences (language, risk limits, …) belongs into set_preferences.
        """
        return reply(self._memories.remember(content, tags=tags))

    def search_memory(
        self,
        query: Annotated[
            str, Field(min_length=1, max_length=400, description="What to look for, e.g. 'stop loss risk'.")
        ],
        limit: Annotated[int, Field(ge=1, le=50, description="At most this many, best match first.")] = 10,
    ) -> FoundMemoriesReply:
        """Find memories by the words in their content and tags and, where a model is installed, by meaning.

        Best match first; word endings don't matter. What was found by meaning alone may have little to do with the query.
        """
        by_words = self._memories.matching(query, limit=2 * limit)
        ranked = self._retrieval.ranked(MEMORIES, query, by_words=by_words, limit=limit)
        found = self._memories.at([hit.position for hit in ranked.hits])
        return FoundMemoriesReply(
            memories=[
                FoundMemoryReply(**reply(found[hit.position]).model_dump(), found_by=hit.found_by)
                for hit in ranked.hits
                if hit.position in found
            ],
            total=self._memories.count(),
            note=ranked.note,
        )

    def forget(
        self,
        id: Annotated[  # noqa: A002 - the tool's argument is called id
            str, Field(min_length=1, max_length=64, description="Id of the memory, e.g. 'mem-9f2c41d07ab3'.")
        ],
    ) -> ForgottenReply:
        """Erase one memory for good. Ids come from list_memories or search_memory; `forgotten` is false for others."""
        return ForgottenReply(id=id, forgotten=self._memories.forget(id))

    def list_memories(self) -> MemoriesReply:
        """List the newest memories, at most 100; `total` tells how many there are. search_memory finds older ones."""
        newest = self._memories.newest(MOST_LISTED)
        return MemoriesReply(memories=[reply(memory) for memory in newest], total=self._memories.count())


def reply(memory: Memory) -> MemoryReply:
    """The memory as clients see it."""
    return MemoryReply.model_validate(memory, from_attributes=True)
