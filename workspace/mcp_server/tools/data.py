"""Tools over all of the user's data: export, import, delete."""

from __future__ import annotations

import base64
import io
from typing import Annotated

from mcp_types import ResourceLink
from pydantic import BaseModel, Field

from mcp_server.archive.erasure import erase_everything
from mcp_server.archive.exports import PART_BYTES, Export, Exports
from mcp_server.archive.reading import restore_archive
from mcp_server.documents.reading import MOST_BYTES
from mcp_server.errors import BadArchive, NotConfirmed
from mcp_server.storage.database import Database
from mcp_server.tools.documents import MOST_BASE64
from mcp_server.tools.offer import ADDS, REPLACES, Linked, Offer

ZIP = "application/zip"


class ExportReply(Linked):
    """An archive: its bytes are those of the resources `{uri}/1` to `{uri}/{parts}` one after the other."""

    id: str
    uri: str
    parts: int
    part_bytes: int
    size_bytes: int
    sha256: str
    files: int
    exported_at: str
    expires_at: str

    def links(self) -> list[ResourceLink]:
        """The first part, which of a small workspace is all."""
        told = f"Part 1 of {self.parts} of everything in this workspace."
        return [
            ResourceLink(
                type="resource_link",
                name=f"{self.id}.zip",
                uri=f"{self.uri}/1",
                mime_type=ZIP,
                size=min(self.size_bytes, self.part_bytes),
                description=told,
            )
        ]


class ImportedReply(BaseModel):
    """How many rows were restored, by table."""

    restored: dict[str, int]


class ErasedReply(BaseModel):
    """How many rows were erased, by table."""

    erased: dict[str, int]


class DataTools:
    """Everything at once, for the user's own sake."""

    def __init__(self, database: Database, exports: Exports) -> None:
        self._database = database
        self._exports = exports

    def offers(self) -> list[Offer]:
        return [
            Offer(self.export_data, "Export everything", ADDS),
            Offer(self.import_data, "Restore an export", ADDS),
            Offer(self.delete_data, "Delete everything", REPLACES),
        ]

    def export_data(self) -> ExportReply:
        """Make one zip archive of everything in the workspace, to be fetched within an hour as a resource.

        Strategies with their versions, memories, conversations, preferences, documents, imported bars, backtests and
        deployments. Read the resources `{uri}/1` to `{uri}/{parts}` and put their bytes one after the other; `sha256` is
        of the whole. Each call makes a new archive in place of the one before.
        """
        return reply(self._exports.make())

    def import_data(
        self,
        archive_base64: Annotated[
            str,
            Field(
                min_length=1,
                max_length=MOST_BASE64,
                description=f"The whole archive of export_data in base64, at most {MOST_BYTES:,} bytes, e.g. 'UEsDBBQAAAA…'.",
            ),
        ],
    ) -> ImportedReply:
        """Restore an archive of export_data into this workspace, which must be empty and the same user's.

        All of it or nothing. A larger archive is restored by whoever runs the server:
        `python -m mcp_server.restore --data DIR --user USER ARCHIVE`.
        """
        try:
            content = base64.b64decode(archive_base64, validate=True)
        except ValueError as error:
            raise BadArchive("archive_base64 is not base64.") from error
        return ImportedReply(restored=restore_archive(self._database, io.BytesIO(content)))

    def delete_data(
        self,
        confirm: Annotated[
            str,
            Field(
                min_length=1,
                max_length=256,
                description="The id of the workspace's user, exactly as context://profile tells it, e.g. 'demo-pro'. Only after "
                "the user has asked for everything to be deleted and has been offered export_data.",
            ),
        ],
    ) -> ErasedReply:
        """Erase everything in the workspace for good: nothing can bring it back. The workspace is empty afterwards.

        Strategies, deployments, backtests, imported bars, documents, memories, conversations, preferences, exports.
        """
        if confirm != self._database.user:
            raise NotConfirmed
        return ErasedReply(erased=erase_everything(self._database, self._exports))


def reply(export: Export) -> ExportReply:
    """The export as clients see it."""
    return ExportReply(
        id=export.id,
        uri=f"export://{export.id}",
        parts=export.parts,
        part_bytes=PART_BYTES,
        size_bytes=export.size_bytes,
        sha256=export.sha256,
        files=export.entries,
        exported_at=export.exported_at,
        expires_at=export.expires_at,
    )
