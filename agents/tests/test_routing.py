"""Which model answers, as a table. Source: DESIGN.md, Agent: Routing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.catalogue import Catalogue, Model
from agents.errors import AgentFailed
from agents.routing import Offer, Wishes, choose

SMALL = Model(provider="anthropic", name="small", size="small")
LARGE = Model(provider="anthropic", name="large", size="large")
OTHER = Model(provider="openai", name="other", size="small")
OFF = Model(provider="google", name="off", size="small")
WILD = Model(provider="openrouter", name="*", size="large")
NAMED = Model(provider="local", name="mine", size="large", default=True)

CATALOGUE = Catalogue((SMALL, LARGE, OTHER, OFF, WILD))
PRO = Offer(CATALOGUE, providers={"anthropic", "openai", "openrouter", "local"}, licensed=("small", "large"))
FREE = replace(PRO, licensed=("small",))
ALL = replace(PRO, licensed=None)


@pytest.mark.parametrize(
    ("wishes", "offer", "chosen", "reason"),
    [
        (Wishes(), PRO, "anthropic/large", "the default model for your licence"),
        (Wishes(), ALL, "anthropic/large", "the default model for your licence"),
        (Wishes(), FREE, "anthropic/small", "the default model for your licence"),
        (Wishes(), replace(FREE, default=NAMED), "local/mine", "the default model here"),
        (
            Wishes(),
            replace(PRO, default_provider="openai"),
            "openai/other",
            "the default provider's model for your licence",
        ),
        (Wishes("openai/other", "anthropic/small", "anthropic/large"), PRO, "openai/other", "you chose this model"),
        (Wishes("other"), PRO, "openai/other", "you chose this model"),
        (Wishes("mine"), replace(FREE, default=NAMED), "local/mine", "you chose this model"),
        (Wishes("openrouter/any/thing"), PRO, "openrouter/any/thing", "you chose this model"),
        (Wishes(None, "openai/other", "anthropic/small"), PRO, "openai/other", "this conversation uses this model"),
        (Wishes(None, None, "openai/other"), PRO, "openai/other", "your preferred model"),
        (Wishes(None, "google/off", "openai/other"), PRO, "openai/other", "your preferred model"),
        (Wishes(None, "anthropic/large", "gone/model"), FREE, "anthropic/small", "the default model for your licence"),
    ],
)
def test_the_first_wish_that_can_be_had_decides(wishes: Wishes, offer: Offer, chosen: str, reason: str) -> None:
    choice = choose(wishes, offer)

    assert (choice.model.spec, choice.reason) == (chosen, reason)


@pytest.mark.parametrize(
    ("wanted", "offer", "why"),
    [
        ("anthropic/large", FREE, "is not included in your licence"),
        ("openrouter/any/thing", FREE, "is not included in your licence"),
        ("google/off", PRO, "is not available here"),
        ("no/such", PRO, "is not available here"),
        ("openrouter/*", PRO, "is not available here"),
    ],
)
def test_a_choice_that_can_not_be_had_is_refused_with_what_can(wanted: str, offer: Offer, why: str) -> None:
    with pytest.raises(AgentFailed) as failed:
        choose(Wishes(wanted), offer)

    assert failed.value.code == "model_not_available"
    assert failed.value.message.startswith(f"The model {wanted} {why}. You can use: anthropic/small")


def test_without_any_model_the_turn_fails() -> None:
    with pytest.raises(AgentFailed) as failed:
        choose(Wishes(), replace(PRO, providers=set()))

    assert failed.value.code == "no_model"


def test_the_default_is_listed_first_and_once() -> None:
    offer = replace(PRO, default=OTHER.model_copy(update={"default": True}))

    assert [model.spec for model in offer.models()] == ["openai/other", "anthropic/small", "anthropic/large"]


wanted = st.none() | st.sampled_from(
    [model.spec for model in CATALOGUE.models] + ["small", "large", "other", "local/mine", "openrouter/any/thing", "x"]
)
sizes = st.none() | st.lists(st.sampled_from(["small", "large"]), unique=True).map(tuple)


@given(wanted, wanted, wanted, sizes, st.sampled_from([None, NAMED]), st.sampled_from(["", "anthropic", "openrouter"]))
def test_no_way_in_leads_to_a_model_that_the_licence_does_not_cover(
    message: str | None,
    used: str | None,
    preferred: str | None,
    licensed: tuple[str, ...] | None,
    default: Model | None,
    default_provider: str,
) -> None:
    """Source: DESIGN, section 5: features that gate at the point of use, whichever of the wishes it comes by."""
    offer = replace(PRO, licensed=licensed, default=default, default_provider=default_provider)
    try:
        model = choose(Wishes(message, used, preferred), offer).model
    except AgentFailed as refused:
        assert refused.code in {"model_not_available", "no_model"}  # noqa: PT017 - either may come, and nothing else
        return

    assert model.default or licensed is None or model.size in licensed
    assert model.licensed(licensed), "what is looked at before each model call"
    assert model.provider != "google"
