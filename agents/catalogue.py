"""The catalogue: which models there are, how large, and what they cost."""

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agents.events import Usage

SHIPPED = Path(__file__).with_name("catalogue.toml")

_PER_MILLION = 1_000_000
_SECONDS_A_MINUTE = 60

# Few answers are longer; half of a small window.
LONGEST_ANSWER = 16_384
# Of a model that nothing is known of: a server of one's own may have a window of 32,000, and refuses to be asked for more.
LONGEST_UNLISTED_ANSWER = 8_192


class Model(BaseModel):
    """One model. Prices in USD per million tokens, None = unknown; `context` in tokens, None = unknown.

    `longest_answer`, in tokens, is what its vendor is asked to stop at, and what a budget sets aside for a call.

    One that `sees` can be asked with pictures. The name `*` stands for every model of the provider. A `default` one was named
    by the operator as every tier's default: each licence may use it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str = Field(min_length=1, pattern=r"^[a-z0-9_]+$")
    name: str = Field(min_length=1)
    size: Literal["small", "large"]
    context: int | None = Field(default=None, gt=0)
    input: float | None = Field(default=None, ge=0)
    cached: float | None = Field(default=None, ge=0)
    output: float | None = Field(default=None, ge=0)
    longest_answer: int = Field(default=LONGEST_ANSWER, gt=0)
    sees: bool = False
    default: bool = False

    @model_validator(mode="after")
    def _prices_together(self) -> "Model":
        given = [price is not None for price in (self.input, self.cached, self.output)]
        if any(given) != all(given):
            raise ValueError("give all of input, cached and output, or none")
        return self

    @model_validator(mode="before")
    @classmethod
    def _longest_answer(cls, values: dict[str, Any]) -> dict[str, Any]:
        window = values.get("context")
        most = min(LONGEST_ANSWER, window // 2) if isinstance(window, int) else LONGEST_ANSWER
        return {"longest_answer": most, **values}

    @property
    def spec(self) -> str:
        """`provider/name`."""
        return f"{self.provider}/{self.name}"

    def cost_usd(self, usage: Usage) -> float | None:
        """What `usage` costs, None when the prices are unknown."""
        if self.input is None or self.cached is None or self.output is None:
            return None
        fresh = usage.input_tokens - usage.cached_tokens
        total = fresh * self.input + usage.cached_tokens * self.cached + usage.output_tokens * self.output
        return total / _PER_MILLION

    def licensed(self, sizes: Collection[str] | None) -> bool:
        """Whether a licence for models of these sizes (None = all models) covers it."""
        return self.default or sizes is None or self.size in sizes


class Hearing(BaseModel):
    """The price of a model that turns speech into text, in USD: per minute, or per million tokens, as its vendor counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    minute: float | None = Field(default=None, ge=0)
    input: float | None = Field(default=None, ge=0)
    output: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _by_time_or_tokens(self) -> "Hearing":
        if (self.input is None) != (self.output is None) or (self.minute is None and self.input is None):
            raise ValueError("give minute, or input and output, or all")
        return self

    def cost_usd(self, seconds: float | None, *, input_tokens: int, output_tokens: int) -> float | None:
        """What was heard costs, by its time where the vendor counts that; None when the price is of something else."""
        if seconds is not None:
            return None if self.minute is None else seconds / _SECONDS_A_MINUTE * self.minute
        if self.input is None or self.output is None:
            return None
        return (input_tokens * self.input + output_tokens * self.output) / _PER_MILLION


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: list[Model] = Field(min_length=1)
    transcription: list[Hearing] = []


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models in the file's order, and prices of models that hear."""

    models: tuple[Model, ...]
    hears: tuple[Hearing, ...] = ()

    def find(self, spec: str) -> Model | None:
        """The model `provider/name`, by its own entry or its provider's wildcard."""
        provider, _, name = spec.partition("/")
        if not name or name == "*":
            return None
        of_provider = [model for model in self.models if model.provider == provider]
        exact = next((model for model in of_provider if model.name == name), None)
        if exact is not None:
            return exact
        wildcard = next((model for model in of_provider if model.name == "*"), None)
        return wildcard.model_copy(update={"name": name}) if wildcard else None

    def named(self, wanted: str) -> Model | None:
        """The model that a person means by `provider/name` or by the bare name."""
        exact = self.find(wanted)
        return exact or next((model for model in self.models if model.name == wanted), None)

    def hearing(self, name: str) -> Hearing | None:
        """The price of a model that hears; None when it is unknown."""
        return next((price for price in self.hears if price.name == name), None)


def catalogue() -> Catalogue:
    """The catalogue by the present settings. Raises ImproperlyConfigured for a file that can't be used."""
    return _read(Path(settings.MODEL_CATALOGUE) if settings.MODEL_CATALOGUE else SHIPPED)


@lru_cache(maxsize=8)
def _read(path: Path) -> Catalogue:
    try:
        found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ImproperlyConfigured(f"MODEL_CATALOGUE {path}: {error}") from error
    specs = [model.spec for model in found.model] + [price.name for price in found.transcription]
    twice = sorted({spec for spec in specs if specs.count(spec) > 1})
    if twice:
        raise ImproperlyConfigured(f"MODEL_CATALOGUE {path} lists {', '.join(twice)} twice.")
    return Catalogue(tuple(found.model), tuple(found.transcription))


def configured_default(models: Catalogue) -> Model | None:
    """The operator's default by DEFAULT_MODEL_PROVIDER and DEFAULT_MODEL, None when a name is not given.

    A model that the catalogue does not list is allowed, its price unknown. Raises ImproperlyConfigured for a model
    without a provider that no entry names.
    """
    provider, name = settings.DEFAULT_MODEL_PROVIDER, settings.DEFAULT_MODEL
    if not name:
        return None
    known = models.find(f"{provider}/{name}") if provider else models.named(name)
    if known is None and not provider:
        raise ImproperlyConfigured(f"DEFAULT_MODEL {name!r} is not in the catalogue: name its DEFAULT_MODEL_PROVIDER.")
    known = known or Model(provider=provider, name=name, size="large", longest_answer=LONGEST_UNLISTED_ANSWER)
    return known.model_copy(update={"default": True})
