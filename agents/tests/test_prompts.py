"""The prompts' files. Source: what the model was told must be known of every turn, so a text never changes unnoticed."""

import hashlib
import json

import pytest

from agents.prompts import FOLDER, prompt

NAMES = sorted(path.stem for path in FOLDER.glob("*.md"))
VERSIONS = json.loads((FOLDER / "versions.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_prompt_has_a_new_version(name: str) -> None:
    """After a change: raise the file's version, and write its digest into versions.json."""
    here = prompt(name)
    digest = hashlib.sha256(here.text.encode()).hexdigest()

    assert VERSIONS.get(name, {}).get(str(here.version)) == digest, digest
    assert here.version == max(map(int, VERSIONS[name]))


def test_every_listed_prompt_is_there() -> None:
    assert sorted(VERSIONS) == NAMES


def test_the_system_prompt_says_what_is_data_and_what_is_never_done() -> None:
    text = prompt("system").text

    for sentence in ("is data", "never place an order", "12 steps", "workspace__"):
        assert sentence in text
