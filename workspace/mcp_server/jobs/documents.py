"""Reads the text of a PDF. Such files are other people's, so this runs confined."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from mcp_server.jobs.contract import Result, Task

MOST_PAGES = 2000

# A PDF of the accepted size can unfold into far more text than a book has.
MOST_CHARACTERS = 4_000_000


class Unreadable(Exception):
    """The PDF can't be taken; the text is for its owner."""


def run(task: Task) -> Result:
    """Argument `pdf`: the file in base64. Gives `pages`, the text of each, or `error`."""
    try:
        return Result({"pages": list(_pages(base64.b64decode(task.arguments["pdf"]), task))})
    except (Unreadable, DependencyError) as error:
        return Result({"error": str(error)})
    except PyPdfError as error:
        return Result({"error": f"The PDF is damaged ({error}). Save it anew or send its text."})


def _pages(content: bytes, task: Task) -> Iterator[str]:
    reader = PdfReader(io.BytesIO(content))
    # Many files are locked only against changes, and open with an empty password.
    if reader.is_encrypted and not reader.decrypt(""):
        raise Unreadable("The PDF is encrypted. Save it without a password and add it again.")
    total = len(reader.pages)
    if total > MOST_PAGES:
        raise Unreadable(f"The PDF has {total} pages, at most {MOST_PAGES} are taken. Split it.")
    characters = 0
    for number, page in enumerate(reader.pages, 1):
        text = page.extract_text().encode("utf-8", "replace").decode("utf-8")
        characters += len(text)
        if characters > MOST_CHARACTERS:
            raise Unreadable(f"The PDF has more than {MOST_CHARACTERS} characters of text. Split it.")
        task.report(number, total, "reading pages")
        yield text
    if not characters:
        raise Unreadable("The PDF holds no text, only pictures. Run text recognition (OCR) over it first.")
