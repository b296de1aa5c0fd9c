"""The catalogue of models. Source: DESIGN.md, Agent: Catalogue."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from agents.catalogue import Model, catalogue, configured_default
from agents.events import Usage
from agents.providers import providers

PRICED = Model(provider="openai", name="x", size="small", input=1.0, cached=0.1, output=10.0)
MODEL = "[[model]]\nprovider = 'openai'\nname = 'x'\nsize = 'small'\n"


def test_the_shipped_file_names_only_providers_that_there_are() -> None:
    assert {model.provider for model in catalogue().models} == set(providers())


def test_every_provider_but_the_wildcard_has_a_model_for_the_free_tier() -> None:
    small = {model.provider for model in catalogue().models if model.licensed(("small",))}

    assert small == set(providers())


def test_cached_tokens_cost_their_own_price() -> None:
    assert PRICED.cost_usd(
        Usage(input_tokens=1_000_000, cached_tokens=600_000, output_tokens=100_000)
    ) == pytest.approx(0.4 + 0.06 + 1.0)


def test_an_unknown_price_is_an_unknown_cost() -> None:
    assert Model(provider="openai", name="x", size="small").cost_usd(Usage(1, 0, 1)) is None


@pytest.mark.parametrize(
    ("name", "seconds", "tokens", "cost"),
    [
        ("whisper-1", 90.0, (0, 0), 0.009),
        ("gpt-4o-transcribe", None, (1000, 100), 0.0035),
        ("gpt-4o-mini-transcribe", None, (1000, 100), 0.00175),
        ("gpt-4o-mini-transcribe", 60.0, (0, 0), None),
        ("whisper-1", None, (1000, 100), None),
    ],
)
def test_what_is_heard_costs_by_its_time_or_its_tokens(
    name: str, seconds: float | None, tokens: tuple[int, int], cost: float | None
) -> None:
    price = catalogue().hearing(name)

    assert price is not None
    found = price.cost_usd(seconds, input_tokens=tokens[0], output_tokens=tokens[1])
    assert found == (None if cost is None else pytest.approx(cost))


@pytest.mark.parametrize(("window", "longest"), [(None, 16_384), (200_000, 16_384), (8_000, 4_000)])
def test_the_longest_answer_leaves_room_for_a_question(window: int | None, longest: int) -> None:
    assert Model(provider="openai", name="x", size="small", context=window).longest_answer == longest


def test_a_wildcard_stands_for_every_model_of_its_provider() -> None:
    found = catalogue().find("openrouter/some/model")

    assert found is not None
    assert (found.provider, found.name, found.size) == ("openrouter", "some/model", "large")
    assert catalogue().find("openai/unheard-of") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[[model]]\nprovider = 'openai'\nname = 'x'\n",
        "[[model]]\nprovider = 'openai'\nname = 'x'\nsize = 'huge'\n",
        "[[model]]\nprovider = 'openai'\nname = 'x'\nsize = 'small'\nspeed = 3\n",
        "[[model]]\nprovider = 'openai'\nname = 'x'\nsize = 'small'\ninput = 1.0\n",
        "[[model]]\nprovider = 'openai'\nname = 'x'\nsize = 'small'\n" * 2,
        "not toml",
        MODEL + "[[transcription]]\nname = 'x'\n",
        MODEL + "[[transcription]]\nname = 'x'\ninput = 1.0\n",
        MODEL + "[[transcription]]\nname = 'x'\nminute = -1\n",
        MODEL + "[[transcription]]\nname = 'x'\nminute = 1\n" * 2,
    ],
)
def test_a_file_with_a_mistake_is_refused(text: str, tmp_path: Path, settings: Any) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text)
    settings.MODEL_CATALOGUE = str(path)

    with pytest.raises(ImproperlyConfigured, match=r"models\.toml"):
        catalogue()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, settings: Any) -> None:
    settings.MODEL_CATALOGUE = str(tmp_path / "none.toml")

    with pytest.raises(ImproperlyConfigured):
        catalogue()


@pytest.mark.parametrize(
    ("provider", "name", "spec"),
    [
        ("openai", "my-own", "openai/my-own"),
        ("", "demo", "demo/demo"),
        ("", "demo/demo", "demo/demo"),
        ("anthropic", "claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
    ],
)
def test_the_configured_default_is_every_tiers(provider: str, name: str, spec: str, settings: Any) -> None:
    settings.DEFAULT_MODEL_PROVIDER, settings.DEFAULT_MODEL = provider, name
    default = configured_default(catalogue())

    assert default is not None
    assert default.spec == spec
    assert default.licensed(())


def test_a_default_without_a_provider_must_be_listed(settings: Any) -> None:
    settings.DEFAULT_MODEL_PROVIDER, settings.DEFAULT_MODEL = "", "my-own"

    with pytest.raises(ImproperlyConfigured, match="DEFAULT_MODEL_PROVIDER"):
        configured_default(catalogue())


def test_without_a_model_there_is_no_configured_default(settings: Any) -> None:
    settings.DEFAULT_MODEL_PROVIDER = "openai"

    assert configured_default(catalogue()) is None
