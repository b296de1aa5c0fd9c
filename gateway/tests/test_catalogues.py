"""Source: the pages speak English and German, whole."""

import ast
import re
from collections.abc import Iterator, Sequence

import pytest

from gateway.languages import script_words
from gateway.sentences import BY_CHATS, BY_PAGES, BY_SCRIPTS
from gateway.testing.catalogues import LANGUAGES, ROOT, Message, committed, compiled, missing, said_by, translated

EACH = pytest.mark.parametrize(
    ("domain", "language"), [(domain, language) for domain in ("django", "djangojs") for language in LANGUAGES]
)
PLACE = re.compile(r"%\(\w+\)s|\{\w+\}")


@EACH
def test_everything_that_the_code_says_is_translated(domain: str, language: str) -> None:
    """`python -m gateway.testing.catalogues` brings the files up to date."""
    catalogue = translated(domain, language)

    assert {each.id for each in catalogue if each.id} == {each.id for each in said_by(domain) if each.id}
    assert missing(catalogue) == []
    assert not any(each.fuzzy for each in catalogue)


@EACH
def test_a_translation_holds_the_places_of_its_original(domain: str, language: str) -> None:
    for message in translated(domain, language):
        if message.id:
            for original, string in zip(forms(message.id), forms(message.string), strict=True):
                assert set(PLACE.findall(original)) == set(PLACE.findall(string)), original


@EACH
def test_the_compiled_form_is_that_of_the_written_one(domain: str, language: str) -> None:
    assert committed(domain, language) == compiled(translated(domain, language))


def test_the_scripts_get_the_two_forms_of_what_is_counted() -> None:
    words = script_words("de")

    assert words["Connected"] == "Verbunden"
    assert words["{count} hour left"] == ["noch {count} Stunde", "noch {count} Stunden"]
    assert "" not in words
    assert script_words("en") == {}


def test_every_sentence_of_another_module_is_still_said_there() -> None:
    said = set(texts())

    assert [sentence for sentence in {*BY_PAGES, *BY_SCRIPTS, *BY_CHATS} if sentence not in said] == []


def forms(message: Message | None) -> Sequence[str]:
    """One text, or the two of what is counted."""
    return [message or ""] if isinstance(message, str) or message is None else list(message)


def texts() -> Iterator[str]:
    """The texts in the code, docstrings included, and the paragraphs of each."""
    for app in ("accounts", "agents", "channels_app", "provisioning"):
        for path in (ROOT / app).rglob("*.py"):
            if "tests" not in path.parts:
                yield from (
                    text.strip()
                    for node in ast.walk(ast.parse(path.read_bytes()))
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                    for text in (node.value, *node.value.split("\n\n"))
                )
