"""Which providers answer here: those of the folder that the settings switch on. Source: DESIGN.md, Agent: Providers."""

from typing import Any

import pytest

from agents.providers import NO_KEY, ApiEndpoint, providers, switched_on

VENDORS = ["anthropic", "google", "openai", "openrouter"]
KEY = "sk-secret-key-of-the-operator"


def test_every_provider_has_a_name_for_people() -> None:
    assert {name: bool(provider.label) for name, provider in providers().items()} == dict.fromkeys(
        [*VENDORS, "demo"], True
    )


def test_without_settings_only_the_demo_answers() -> None:
    """Source: DESIGN.md, Agent: with none configured the built-in demo provider answers."""
    assert list(switched_on()) == ["demo"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_key_or_a_base_url_switches_a_provider_on(vendor: str, settings: Any) -> None:
    setattr(settings, f"{vendor.upper()}_API_KEY", KEY)
    assert switched_on()[vendor].endpoint() == ApiEndpoint(base_url="", key=KEY)
    assert list(switched_on()) == [vendor]

    setattr(settings, f"{vendor.upper()}_API_KEY", "")
    setattr(settings, f"{vendor.upper()}_BASE_URL", "http://localhost:1/v1/")
    assert switched_on()[vendor].endpoint() == ApiEndpoint(base_url="http://localhost:1/v1", key=NO_KEY)


def test_the_demo_stays_on_beside_others_when_it_is_the_default(settings: Any) -> None:
    settings.OPENAI_API_KEY = KEY
    settings.DEFAULT_MODEL_PROVIDER = "demo"

    assert set(switched_on()) == {"demo", "openai"}


def test_a_key_is_not_shown() -> None:
    assert KEY not in repr(ApiEndpoint(base_url="", key=KEY))
