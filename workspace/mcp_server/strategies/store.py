"""The user's strategies with all their versions, and a bin for those deleted."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from mcp_server.errors import StrategyRejected, TooManyStrategies, UnknownStrategy
from mcp_server.storage.database import Database, timestamp
from mcp_server.strategies.contract import read_contract
from mcp_server.strategies.shipped import SHIPPED_VERSION, shipped
from mcp_server.strategies.versions import StrategyVersion

MOST_VERSIONS = 500
VERSION_DIGITS = 9

_COLUMNS = "strategy, source, version, created_at, description"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept. Deleting one strategy more than `in_bin` erases the one that has been there for longest.

    `size_bytes` counts all versions of all strategies: a tenth of the smallest disk that a tier has.
    """

    strategies: int = 100
    versions: int = MOST_VERSIONS
    in_bin: int = 50
    size_bytes: int = 100 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Saved:
    """How saving ended. `stored` is False when the newest version has this source already."""

    version: StrategyVersion
    stored: bool
    restored: bool


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A version in a list."""

    version: int
    digest: str
    description: str
    created_at: str


class Strategies:
    """Strategies in the user's file beside the shipped ones. Names have no case: all are kept in lower case."""

    def __init__(self, database: Database, bounds: Bounds | None = None) -> None:
        self._database = database
        self._bounds = bounds or Bounds()

    def find(self, name: str, version: int | None = None) -> StrategyVersion:
        """The newest version, the user's own before a shipped one; `name@3` is version 3, version 0 the shipped one.

        Raises UnknownStrategy.
        """
        wanted, version = _named_version(name, version)
        if version != SHIPPED_VERSION:
            with self._database.reading() as connection:
                row = connection.execute(
                    f"SELECT {_COLUMNS} FROM strategy_versions WHERE strategy = ? AND (? IS NULL OR version = ?)"
                    " AND strategy IN (SELECT name FROM strategies WHERE place_in_bin IS NULL)"
                    " ORDER BY version DESC LIMIT 1",
                    (wanted, version, version),
                ).fetchone()
            if row is not None:
                return _version(row)
        if wanted in shipped() and version in (None, SHIPPED_VERSION):
            return shipped()[wanted]
        raise self._unknown(wanted, version)

    def newest(self) -> list[StrategyVersion]:
        """The newest version of each of the user's own strategies, the last changed first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM strategies JOIN strategy_versions ON strategy = name"
                " WHERE place_in_bin IS NULL AND version = (SELECT max(version) FROM strategy_versions WHERE strategy = name)"
                " ORDER BY position DESC"
            ).fetchall()
        return [_version(row) for row in rows]

    def examples(self) -> list[StrategyVersion]:
        """The shipped strategies whose name no own strategy has taken."""
        own = {each.name for each in self.newest()}
        return [example for name, example in shipped().items() if name not in own]

    def bin(self) -> list[str]:
        """Names of the deleted strategies that can be restored, the last deleted first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT name FROM strategies WHERE place_in_bin IS NOT NULL ORDER BY place_in_bin DESC"
            ).fetchall()
        return [row[0] for row in rows]

    def versions(self, name: str) -> list[VersionLine]:
        """The versions of an own strategy, newest first; none for a shipped one."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT version, digest, description, created_at FROM strategy_versions JOIN strategies ON name = strategy"
                " WHERE strategy = ? AND place_in_bin IS NULL ORDER BY version DESC",
                (name.strip().lower(),),
            ).fetchall()
        return [VersionLine(*row) for row in rows]

    def save(self, name: str, source: str, *, description: str | None = None) -> Saved:
        """Keep `source` as a new version, unless the newest one has it; a name in the bin is restored first.

        Without a description it has that of the source. Raises StrategyRejected, TooManyStrategies.
        """
        check(source)
        wanted, now = name.strip().lower(), timestamp()
        with self._database.writing() as connection:
            restored = _restore(connection, wanted)
            last = connection.execute(
                f"SELECT {_COLUMNS} FROM strategy_versions WHERE strategy = ? ORDER BY version DESC LIMIT 1", (wanted,)
            ).fetchone()
            newest = None if last is None else _version(last)
            if newest is not None and newest.source == source:
                kept = _redescribe(connection, newest, description)
                return Saved(kept, stored=False, restored=restored)
            version = StrategyVersion.of(
                wanted,
                source,
                version=1 if newest is None else newest.version + 1,
                created_at=now,
                description=description,
            )
            _insert(connection, version)
            _check_room(connection, version, self._bounds)
        return Saved(version, stored=True, restored=restored)

    def delete(self, name: str) -> bool:
        """Put an own strategy into the bin; False when there is none."""
        wanted = name.strip().lower()
        with self._database.erasing() as connection:
            done = connection.execute(
                "UPDATE strategies SET place_in_bin = (SELECT coalesce(max(place_in_bin), 0) + 1 FROM strategies)"
                " WHERE name = ? AND place_in_bin IS NULL",
                (wanted,),
            ).rowcount
            connection.execute(
                "DELETE FROM strategies WHERE name IN (SELECT name FROM strategies WHERE place_in_bin IS NOT NULL"
                " ORDER BY place_in_bin DESC LIMIT -1 OFFSET ?)",
                (self._bounds.in_bin,),
            )
        return bool(done)

    def restore(self, name: str) -> StrategyVersion:
        """Bring a deleted strategy back with all its versions; one that is not deleted is left as it is."""
        with self._database.writing() as connection:
            if _restore(connection, name.strip().lower()):
                _check_count(connection, self._bounds)
        return self.find(name)

    def _unknown(self, name: str, version: int | None) -> UnknownStrategy:
        versions = self.versions(name)
        if versions:
            return UnknownStrategy(f"{name} has no version {version}. There are 1 to {versions[0].version}.")
        if name in shipped():
            return UnknownStrategy(f"{name} is a shipped example, which has no versions: leave out {version}.")
        if name in self.bin():
            return UnknownStrategy(f"{name} is deleted. Bring it back with restore_strategy(name).")
        known = [*(each.name for each in self.newest()), *shipped()]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        shown = ", ".join(list(dict.fromkeys(known))[:20])
        return UnknownStrategy(f"No strategy {name[:64]!r}.{hint} There are: {shown}. Save others with save_strategy.")


def check(source: str) -> None:
    """Raises StrategyRejected with every problem that shows without running it."""
    problems = read_contract(source).problems
    if problems:
        raise StrategyRejected(f"Nothing was saved. {'; '.join(map(str, problems))}")


def unified_diff(older: StrategyVersion, newer: StrategyVersion) -> str:
    """The lines that differ, as `diff -u` shows them; empty when none do."""
    lines: Iterable[str] = difflib.unified_diff(
        older.source.splitlines(),
        newer.source.splitlines(),
        f"{older.name} version {older.version}",
        f"{newer.name} version {newer.version}",
        lineterm="",
    )
    return "\n".join(lines)


def _named_version(name: str, version: int | None) -> tuple[str, int | None]:
    """The name without `@3` and the version that it names."""
    wanted, _, number = name.strip().lower().partition("@")
    if version is None and number.isascii() and number.isdecimal() and len(number) <= VERSION_DIGITS:
        return wanted, int(number)
    return (wanted if not number else name.strip().lower()), version


def _version(row: tuple[str, str, int, str, str]) -> StrategyVersion:
    name, source, version, created_at, description = row
    return StrategyVersion.of(name, source, version=version, created_at=created_at, description=description)


def _restore(connection: sqlite3.Connection, name: str) -> bool:
    return bool(
        connection.execute(
            "UPDATE strategies SET place_in_bin = NULL WHERE name = ? AND place_in_bin IS NOT NULL", (name,)
        ).rowcount
    )


def _redescribe(connection: sqlite3.Connection, newest: StrategyVersion, description: str | None) -> StrategyVersion:
    if description is None or description == newest.description:
        return newest
    connection.execute(
        "UPDATE strategy_versions SET description = ? WHERE strategy = ? AND version = ?",
        (description, newest.name, newest.version),
    )
    return StrategyVersion.of(
        newest.name,
        newest.source,
        version=newest.version,
        created_at=newest.created_at,
        description=description,
    )


def _insert(connection: sqlite3.Connection, version: StrategyVersion) -> None:
    connection.execute("INSERT OR IGNORE INTO strategies (name) VALUES (?)", (version.name,))
    connection.execute(
        "INSERT INTO strategy_versions (strategy, version, digest, description, source, size_bytes, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            version.name,
            version.version,
            version.digest,
            version.description,
            version.source,
            len(version.source.encode("utf-8")),
            version.created_at,
        ),
    )


def _check_room(connection: sqlite3.Connection, version: StrategyVersion, bounds: Bounds) -> None:
    _check_count(connection, bounds)
    if version.version > bounds.versions:
        raise TooManyStrategies(
            f"{version.name} has {bounds.versions} versions, the most there can be. Save it under another name."
        )
    (size,) = connection.execute("SELECT sum(size_bytes) FROM strategy_versions").fetchone()
    if size > bounds.size_bytes:
        raise TooManyStrategies


def _check_count(connection: sqlite3.Connection, bounds: Bounds) -> None:
    (count,) = connection.execute("SELECT count(*) FROM strategies WHERE place_in_bin IS NULL").fetchone()
    if count > bounds.strategies:
        raise TooManyStrategies(f"There are {bounds.strategies} strategies, the most there can be. Delete one first.")
