"""The catalogues of the pages' words: what the code says, what of it is translated, and the compiled form.

`python -m gateway.testing.catalogues` writes what is new in the code into every `.po` file, drops what is gone, compiles all
and prints what still has to be translated. It needs Babel and no GNU gettext.
"""

import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from gateway.sentences import BY_CHATS, BY_PAGES, BY_SCRIPTS

ROOT = Path(__file__).resolve().parents[2]
LOCALE = ROOT / "locale"
LANGUAGES = ("de",)
# The admin speaks English.
TEMPLATES = [path for path in sorted((ROOT / "templates").rglob("*.html")) if path.parts[-2] not in {"api", "unfold"}]
APPS = ("accounts", "agents", "channels_app")
KEYWORDS = {
    "python": {"_": None, "gettext": None, "gettext_noop": None, "ngettext": (1, 2)},
    "javascript": {"t": None, "counted": (1, 2)},
}

# A text, or the two of what is counted.
Message = str | tuple[str, ...] | list[str]
Found = tuple[str, Message]


def said_by(domain: str) -> Catalog:
    """Everything that the code of a domain (`django` or `djangojs`) says to a visitor, with the files that say it."""
    catalogue = Catalog(project="dexorder-gateway", fuzzy=False)
    for place, message in sorted(_pages() if domain == "django" else _scripts(), key=str):
        catalogue.add(message, locations=[(place, 0)])
    return catalogue


def translated(domain: str, language: str) -> Catalog:
    """The catalogue as it is committed."""
    with _path(domain, language, "po").open("rb") as file:
        return read_po(file, locale=language, domain=domain)


def compiled(catalogue: Catalog) -> bytes:
    """The bytes of its `.mo` file."""
    buffer = BytesIO()
    write_mo(buffer, catalogue)
    return buffer.getvalue()


def committed(domain: str, language: str) -> bytes:
    """The bytes of the `.mo` file as it is committed."""
    return _path(domain, language, "mo").read_bytes()


def update(domain: str, language: str) -> list[Message]:
    """Bring a catalogue's files up to date with the code; the messages that nobody has translated."""
    catalogue = said_by(domain)
    path = _path(domain, language, "po")
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = translated(domain, language) if path.exists() else Catalog(locale=language, domain=domain)
    whole.update(catalogue, no_fuzzy_matching=True, update_creation_date=False)
    whole.obsolete.clear()
    whole.fuzzy = False
    whole.header_comment = f"# The words of the pages ({domain}) in the language {language}."
    with path.open("wb") as file:
        write_po(file, whole, width=120, sort_output=True, omit_header=False, include_lineno=False)
    _path(domain, language, "mo").write_bytes(compiled(translated(domain, language)))
    return missing(whole)


def missing(catalogue: Catalog) -> list[Message]:
    """The messages without a whole translation."""
    return [each.id for each in catalogue if each.id and not _whole(each.string)]


def _whole(string: Message | None) -> bool:
    return all([string] if string is None or isinstance(string, str) else string)


def _path(domain: str, language: str, ending: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{domain}.{ending}"


def _pages() -> Iterator[Found]:
    for path in TEMPLATES:
        # Blanked-out markup is no Python by its indentation.
        lines = (line.lstrip() for line in templatize(path.read_text()).splitlines(keepends=True))
        yield from _extracted(path, "".join(lines).encode(), "python")
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if not {"tests", "migrations", "admin"} & set(path.parts):
                yield from _extracted(path, path.read_bytes(), "python")
    yield from (("gateway/sentences.py", sentence) for sentence in (*BY_PAGES, *BY_CHATS, *BY_SCRIPTS))


def _scripts() -> Iterator[Found]:
    for path in sorted((ROOT / "static" / "js").glob("*.js")):
        # Babel's lexer takes the mark of a private name for the end of a word.
        yield from _extracted(path, re.sub(rb"#(?=\w)", b"_", path.read_bytes()), "javascript")
    yield from (("gateway/sentences.py", sentence) for sentence in BY_SCRIPTS)


def _extracted(path: Path, source: bytes, method: str) -> Iterator[Found]:
    place = str(path.relative_to(ROOT))
    for _line, message, _comments, _context in extract(method, BytesIO(source), keywords=KEYWORDS[method]):
        yield place, message


def main() -> int:
    """Update all catalogues; 1 when something is not translated."""
    left = [
        (language, message)
        for language in LANGUAGES
        for domain in ("django", "djangojs")
        for message in update(domain, language)
    ]
    for language, message in left:
        print(f"{language}: {message!r} is not translated.", file=sys.stderr)  # noqa: T201 - a command
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
