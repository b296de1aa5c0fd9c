"""One version of a strategy: its source and what the source declares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from mcp_server.strategies.contract import Plain, read_contract


@dataclass(frozen=True, slots=True)
class StrategyVersion:
    """A source as it was saved. `digest` is the SHA-256 of its UTF-8 bytes in hex; version 0 is a shipped example.

    `params` are its parameters with their defaults, `symbols` those that it is made for (empty = any one symbol).
    """

    name: str
    version: int
    source: str
    digest: str
    description: str
    created_at: str
    params: Mapping[str, Plain]
    symbols: tuple[str, ...]

    @classmethod
    def of(
        cls, name: str, source: str, *, version: int, created_at: str, description: str | None = None
    ) -> StrategyVersion:
        """The version of this source; without a description it has the source's own."""
        contract = read_contract(source)
        return cls(
            name=name,
            version=version,
            source=source,
            digest=digest_of(source),
            description=contract.description if description is None else description,
            created_at=created_at,
            params=contract.params,
            symbols=contract.symbols,
        )

    @property
    def shipped(self) -> bool:
        """Whether it is an example, which stays as it is."""
        return self.version == 0


def digest_of(source: str) -> str:
    """What a deployment or a backtest names a source by."""
    return hashlib.sha256(source.encode("utf-8")).hexdigest()
