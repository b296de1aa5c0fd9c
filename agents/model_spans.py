"""What a model call's span says. Source: OpenTelemetry semantic conventions for generative AI."""

from opentelemetry.trace import Span

from agents.catalogue import Model
from agents.events import Usage


def model_names(model: Model) -> dict[str, str]:
    """Which model is asked."""
    return {
        "gen_ai__operation__name": "chat",
        "gen_ai__provider__name": model.provider,
        "gen_ai__request__model": model.name,
    }


def note_usage(span: Span, usage: Usage) -> None:
    """How many tokens it took."""
    span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
    span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
    span.set_attribute("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens)
