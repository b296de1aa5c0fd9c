"""Which model answers. Pure: what may be chosen comes in, a choice and its reason come out."""

from collections.abc import Collection
from dataclasses import dataclass

from agents.catalogue import Catalogue, Model
from agents.errors import AgentFailed


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
    """What was asked for, each `provider/name` or None: by the message, by the conversation so far, by the user."""

    message: str | None = None
    conversation: str | None = None
    preference: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The model and, for the user, why it is this one."""

    model: Model
    reason: str


def choose(wishes: Wishes, offer: Offer) -> Choice:
    """The model for a turn: the message's choice, else the conversation's model, the user's preference, the default.

    A choice in the message that is not to be had fails the turn (AgentFailed `model_not_available`, naming what is);
    the other wishes give way. Raises AgentFailed `no_model` when there is none at all.
    """
    if wishes.message:
        return Choice(_asked_for(wishes.message, offer), "you chose this model")
    for wanted, reason in (
        (wishes.conversation, "this conversation uses this model"),
        (wishes.preference, "your preferred model"),
    ):
        model = offer.find(wanted) if wanted else None
        if model is not None and offer.allows(model):
            return Choice(model, reason)
    return _default(offer)


def _asked_for(wanted: str, offer: Offer) -> Model:
    model = offer.find(wanted)
    if model is not None and offer.allows(model):
        return model
    available = ", ".join(each.spec for each in offer.models()) or "none at the moment"
    why = "is not included in your licence" if model and model.provider in offer.providers else "is not available here"
    raise AgentFailed("model_not_available", f"The model {wanted} {why}. You can use: {available}.")


def _default(offer: Offer) -> Choice:
    if offer.default is not None and offer.allows(offer.default):
        return Choice(offer.default, "the default model here")
    candidates = offer.models()
    of_provider = [model for model in candidates if model.provider == offer.default_provider]
    if of_provider:
        return Choice(_largest_first(of_provider), "the default provider's model for your licence")
    if not candidates:
        raise AgentFailed("no_model", "No model is available for your licence at the moment.")
    return Choice(_largest_first(candidates), "the default model for your licence")


def _largest_first(models: list[Model]) -> Model:
    return next((model for model in models if model.size == "large"), models[0])
