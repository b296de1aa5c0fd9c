"""Which models a licence may choose from now, and which one would answer."""

from django.conf import settings

from accounts.licences import Licence
from agents.catalogue import catalogue, configured_default
from agents.errors import AgentFailed
from agents.providers import switched_on
from agents.routing import Offer, Wishes, choose


def offer(licence: Licence) -> Offer:
    """What the licence allows of the models that are on. Raises ImproperlyConfigured for a broken catalogue."""
    models = catalogue()
    return Offer(
        catalogue=models,
        providers=frozenset(switched_on()),
        licensed=licence.features.models,
        default=configured_default(models),
        default_provider=settings.DEFAULT_MODEL_PROVIDER,
    )


def model_now(licence: Licence, *, used: str = "") -> str:
    """`provider/name` of the model that would answer in a conversation that has `used` one; "" when there is none."""
    try:
        return choose(Wishes(conversation=used or None), offer(licence)).model.spec
    except AgentFailed:
        return ""
