"""From uploaded bytes to passages; the type is seen from the content, whatever the name says."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Literal, Protocol

from mcp_server.documents.passages import Passage, cut_pages, cut_rows, cut_text, delimiter_of, is_markdown
from mcp_server.errors import (
    BadDocument,
    OutOfMemory,
    OutOfTime,
    OutputTooLarge,
    SandboxFailed,
    SandboxUnavailable,
)
from mcp_server.sandbox.jobs import MIB, Answer, Job, Limits

Kind = Literal["pdf", "markdown", "csv", "text"]

# What fits, in base64, into the largest request.
MOST_BYTES = 3_000_000
MOST_PASSAGES = 6000

PDF_LIMITS = Limits(wall_s=60, cpu_s=45, memory_bytes=224 * MIB, output_bytes=24 * MIB)

# Readers take a PDF whose mark stands within its first kilobyte (ISO 32000-1, annex H.3.4.1).
PDF_MARK, PDF_MARK_WITHIN = b"%PDF-", 1024

BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


class Runs(Protocol):
    """What runs jobs: the sandbox."""

    def run(self, job: Job) -> Answer:
        """Run it to its end. Raises a SandboxFailed."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a document says; `pages` counts a PDF's."""

    kind: Kind
    passages: list[Passage]
    pages: int | None = None


def read_document(content: bytes, jobs: Runs) -> Content:
    """Recognise and read it. Raises BadDocument, SandboxUnavailable."""
    if not content.strip():
        raise BadDocument("The document is empty.")
    if len(content) > MOST_BYTES:
        raise BadDocument(f"The document has {len(content)} bytes, at most {MOST_BYTES} are taken. Split it.")
    found = _read_pdf(content, jobs) if PDF_MARK in content[:PDF_MARK_WITHIN] else _read_text(_decoded(content))
    if len(found.passages) > MOST_PASSAGES:
        raise BadDocument(f"The document has more than {MOST_PASSAGES} passages of text. Split it.")
    return found


def _read_pdf(content: bytes, jobs: Runs) -> Content:
    arguments = {"pdf": base64.b64encode(content).decode("ascii")}
    try:
        answer = jobs.run(Job("mcp_server.jobs.documents:run", arguments, preload=("pypdf",), limits=PDF_LIMITS))
    except SandboxUnavailable:
        raise
    except (OutOfTime, OutOfMemory, OutputTooLarge) as error:
        raise BadDocument(
            "The PDF is too large or too intricate to be read here. Split it or send its text."
        ) from error
    except SandboxFailed as error:
        raise BadDocument("The PDF is damaged. Save it anew or send its text.") from error
    if "error" in answer.values:
        raise BadDocument(str(answer.values["error"])[:500])
    pages = [str(page) for page in answer.values["pages"]]
    return Content("pdf", cut_pages(pages), pages=len(pages))


def _read_text(text: str) -> Content:
    if delimiter_of(text):
        return Content("csv", cut_rows(text))
    return Content("markdown" if is_markdown(text) else "text", cut_text(text))


def _decoded(content: bytes) -> str:
    named = next((name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), None)
    for encoding in [named] if named else ["utf-8", "cp1252"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not CONTROL.search(text):
            return text.replace("\r\n", "\n").replace("\r", "\n")
    raise BadDocument("The document is neither a PDF nor text (Markdown, CSV, plain). Convert it to one of these.")
