"""Which model answers. Pure: what may be chosen comes in, a choice and its reason come out."""

from collections.abc import Collection
from dataclasses import dataclass

from agents.catalogue import Catalogue, Model
from agents.circuits import is_open
from agents.complexity import Demand
from agents.errors import AgentFailed

# What an answer may need of a model's window besides its prompt, in tokens.
ANSWER_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Offer:
    """What may be chosen: the catalogue, the providers that are on, and the sizes that the licence covers (None = all).

    `default` is the operator's model for every tier; with `default_provider` alone its first licensed model is meant.
    """

    catalogue: Catalogue
    providers: Collection[str]
    licensed: Collection[str] | None
    default: Model | None = None
    default_provider: str = ""

    def models(self) -> list[Model]:
        """Everything that can be listed to the user, the default first."""
        listed = [model for model in self.catalogue.models if model.name != "*" and self.allows(model)]
        if self.default is None:
            return listed
        return [self.default, *(model for model in listed if model.spec != self.default.spec)]

    def allows(self, model: Model) -> bool:
        """Whether the model's provider is on and the licence covers it."""
        return model.provider in self.providers and (self._is_default(model) or model.licensed(self.licensed))

    def find(self, wanted: str) -> Model | None:
        """The model that a person means, whether allowed or not."""
        if self.default is not None and wanted in {self.default.spec, self.default.name}:
            return self.default
        return self.catalogue.named(wanted)

    def _is_default(self, model: Model) -> bool:
        return self.default is not None and model.spec == self.default.spec


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for, each `provider/name` or None: by the message, by the conversation so far, by the user.

    `settled` = the conversation's model was chosen by its user, not for the complexity of what was asked.
    """

    message: str | None = None
    conversation: str | None = None
    preference: str | None = None
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """The model and, for the user, why it is this one.

    `wanted` would have been it were it not for troubles; a conversation keeps that one. `others` stand in for the model,
    in the order in which they are asked.
    """

    model: Model
    reason: str
    wanted: Model
    others: tuple[Model, ...] = ()


def choose(wishes: Wishes, offer: Offer, *, demand: Demand | None = None, shut: frozenset[str] = frozenset()) -> Choice:
    """The model for a turn: the message's choice, else the conversation's model, the user's preference, what the request
    needs, the default; another one where that one is in `shut` (see circuits), its window too small, or can't look at the
    message's pictures, and is not the operator's default. Those that stand in for one that sees do so too, where any does.

    A choice in the message that is not to be had fails the turn (AgentFailed `model_not_available`, naming what is);
    the other wishes give way. Raises AgentFailed `no_model` when there is none at all.
    """
    wanted, reason = _wanted(wishes, offer, demand or Demand())
    rest = [model for model in offer.models() if model.spec != wanted.spec]
    large = [model for model in (wanted, *rest) if _holds(model, demand)] or [wanted]
    # The operator's default is not left for pictures: a server of their own may have no other model.
    sight = demand is not None and demand.sight and (wanted.sees or not wanted.default)
    fits = [model for model in large if model.sees or not sight] or large
    ordered = [model for model in fits if not is_open(model, shut)] + [model for model in fits if is_open(model, shut)]
    # With nothing better to ask, what was wanted is asked, whatever its state.
    first = wanted if is_open(ordered[0], shut) and wanted in fits else ordered[0]
    others = tuple(model for model in ordered if model is not first)
    if first is wanted:
        return Choice(wanted, reason, wanted, others)
    trouble = "can't look at pictures" if wanted in large else "is too small for this message"
    trouble = "has a problem at the moment" if wanted in fits else trouble
    return Choice(first, f"{wanted.spec} {trouble}", wanted, others)


def _wanted(wishes: Wishes, offer: Offer, demand: Demand) -> tuple[Model, str]:
    if wishes.message:
        return _asked_for(wishes.message, offer), "you chose this model"
    used = _allowed(wishes.conversation, offer)
    if used is not None:
        larger = None if wishes.settled or used.size == "large" else _for_complexity(offer, demand, "complex")
        return larger or (used, "this conversation uses this model")
    preferred = _allowed(wishes.preference, offer)
    if preferred is not None:
        return preferred, "your preferred model"
    return _for_complexity(offer, demand, demand.level) or _default(offer)


def _allowed(wanted: str | None, offer: Offer) -> Model | None:
    model = offer.find(wanted) if wanted else None
    return model if model is not None and offer.allows(model) else None


def _asked_for(wanted: str, offer: Offer) -> Model:
    model = offer.find(wanted)
    if model is not None and offer.allows(model):
        return model
    available = ", ".join(each.spec for each in offer.models()) or "none at the moment"
    why = "is not included in your licence" if model and model.provider in offer.providers else "is not available here"
    raise AgentFailed("model_not_available", f"The model {wanted} {why}. You can use: {available}.")


def _for_complexity(offer: Offer, demand: Demand, level: str) -> tuple[Model, str] | None:
    """The model of the size that the request needs; None where the request does not say, or there is no choice."""
    size = {"simple": "small", "complex": "large"}.get(level)
    if demand.level != level or size is None or (offer.default is not None and offer.allows(offer.default)):
        return None
    candidates = _candidates(offer)
    fitting = next((model for model in candidates if model.size == size), None)
    if fitting is None or len({model.size for model in candidates}) == 1:
        return None
    return fitting, f"a {size} model for {demand.why}"


def _default(offer: Offer) -> tuple[Model, str]:
    if offer.default is not None and offer.allows(offer.default):
        return offer.default, "the default model here"
    candidates = _candidates(offer)
    if not candidates:
        raise AgentFailed("no_model", "No model is available for your licence at the moment.")
    whose = "default provider's" if candidates[0].provider == offer.default_provider else "default"
    return _largest_first(candidates), f"the {whose} model for your licence"


def _candidates(offer: Offer) -> list[Model]:
    """What may be the default: the models of the default provider, where it has any."""
    models = offer.models()
    return [model for model in models if model.provider == offer.default_provider] or models


def _largest_first(models: list[Model]) -> Model:
    return next((model for model in models if model.size == "large"), models[0])


def _holds(model: Model, demand: Demand | None) -> bool:
    return model.context is None or demand is None or demand.tokens + ANSWER_TOKENS <= model.context
