"""What is refused at start."""

from pathlib import Path
from typing import Any

import pytest

from agents.checks import check_models


def test_the_shipped_settings_pass() -> None:
    assert check_models() == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("DEFAULT_MODEL_PROVIDER", "opnai", "agents.E001"),
        ("DEFAULT_MODEL", "nobody-knows-it", "agents.E002"),
        ("MODEL_CATALOGUE", "/no/such/file.toml", "agents.E002"),
    ],
)
def test_a_mistake_is_named(name: str, value: str, code: str, settings: Any) -> None:
    setattr(settings, name, value)

    (found,) = check_models()
    assert found.id == code
    assert value in found.msg


def test_a_catalogue_of_unknown_providers_is_refused(tmp_path: Path, settings: Any) -> None:
    path = tmp_path / "models.toml"
    path.write_text("[[model]]\nprovider = 'mistral'\nname = 'x'\nsize = 'small'\n")
    settings.MODEL_CATALOGUE = str(path)

    (found,) = check_models()
    assert "mistral" in found.msg
