"""Which model answers, as a table. Source: DESIGN.md, Agent: Routing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.catalogue import Catalogue, Model
from agents.complexity import Ask, Demand, judge
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
        (Wishes(None, "anthropic/small", settled=False), PRO, "anthropic/small", "this conversation uses this model"),
        (Wishes(None, "anthropic/large", "gone/model"), FREE, "anthropic/small", "the default model for your licence"),
    ],
)
def test_the_first_wish_that_can_be_had_decides(wishes: Wishes, offer: Offer, chosen: str, reason: str) -> None:
    choice = choose(wishes, offer)

    assert (choice.model.spec, choice.reason) == (chosen, reason)


SEEING = Model(provider="openai", name="seeing", size="small", sees=True)
SIGHT = Demand("normal", sight=True)
WITH_EYES = replace(PRO, catalogue=Catalogue((SMALL, LARGE, OTHER, SEEING)))


@pytest.mark.parametrize(
    ("wishes", "offer", "chosen", "reason", "others"),
    [
        (Wishes(), WITH_EYES, "openai/seeing", "anthropic/large can't look at pictures", []),
        (Wishes("anthropic/small"), WITH_EYES, "openai/seeing", "anthropic/small can't look at pictures", []),
        (Wishes("openai/seeing"), WITH_EYES, "openai/seeing", "you chose this model", []),
        (
            Wishes(),
            replace(WITH_EYES, default=NAMED),
            "local/mine",
            "the default model here",
            ["anthropic/small", "anthropic/large", "openai/other", "openai/seeing"],
        ),
        (
            Wishes(),
            replace(WITH_EYES, default=NAMED.model_copy(update={"sees": True})),
            "local/mine",
            "the default model here",
            ["openai/seeing"],
        ),
        (Wishes(), PRO, "anthropic/large", "the default model for your licence", ["anthropic/small", "openai/other"]),
    ],
)
def test_pictures_go_to_a_model_that_sees(
    wishes: Wishes, offer: Offer, chosen: str, reason: str, others: list[str]
) -> None:
    choice = choose(wishes, offer, demand=SIGHT)

    assert (choice.model.spec, choice.reason) == (chosen, reason)
    assert [model.spec for model in choice.others] == others


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


SIMPLE, COMPLEX, NORMAL = Demand("simple", "a short question"), Demand("complex", "what is attached"), Demand()
BROKEN = frozenset({"anthropic/large"})
AWAY = frozenset({"anthropic"})


@pytest.mark.parametrize(
    ("wishes", "offer", "demand", "shut", "chosen", "reason"),
    [
        (Wishes(), PRO, SIMPLE, (), "anthropic/small", "a small model for a short question"),
        (Wishes(), PRO, COMPLEX, (), "anthropic/large", "a large model for what is attached"),
        (Wishes(), PRO, NORMAL, (), "anthropic/large", "the default model for your licence"),
        (Wishes(), FREE, COMPLEX, (), "anthropic/small", "the default model for your licence"),
        (Wishes(), replace(PRO, default=NAMED), SIMPLE, (), "local/mine", "the default model here"),
        (
            Wishes(),
            replace(PRO, default_provider="openai"),
            COMPLEX,
            (),
            "openai/other",
            "the default provider's model for your licence",
        ),
        (Wishes("anthropic/large"), PRO, SIMPLE, (), "anthropic/large", "you chose this model"),
        (Wishes(None, None, "anthropic/large"), PRO, SIMPLE, (), "anthropic/large", "your preferred model"),
        (
            Wishes(None, "anthropic/small", settled=False),
            PRO,
            COMPLEX,
            (),
            "anthropic/large",
            "a large model for what is attached",
        ),
        (
            Wishes(None, "anthropic/small", settled=True),
            PRO,
            COMPLEX,
            (),
            "anthropic/small",
            "this conversation uses this model",
        ),
        (
            Wishes(None, "anthropic/large", settled=False),
            PRO,
            SIMPLE,
            (),
            "anthropic/large",
            "this conversation uses this model",
        ),
        (Wishes(), PRO, COMPLEX, BROKEN, "anthropic/small", "anthropic/large has a problem at the moment"),
        (Wishes("large"), PRO, NORMAL, AWAY, "openai/other", "anthropic/large has a problem at the moment"),
        (Wishes(), FREE, NORMAL, AWAY | {"openai"}, "anthropic/small", "the default model for your licence"),
        (
            Wishes("anthropic/tiny"),
            replace(
                PRO, catalogue=Catalogue((Model(provider="anthropic", name="tiny", size="small", context=5000), LARGE))
            ),
            Demand(tokens=4000),
            (),
            "anthropic/large",
            "anthropic/tiny is too small for this message",
        ),
    ],
)
def test_what_the_request_needs_decides_where_nobody_chose(
    wishes: Wishes, offer: Offer, demand: Demand, shut: frozenset[str], chosen: str, reason: str
) -> None:
    choice = choose(wishes, offer, demand=demand, shut=frozenset(shut))

    assert (choice.model.spec, choice.reason) == (chosen, reason)


def test_standbys_are_the_licensed_models_in_the_files_order_the_broken_ones_last() -> None:
    choice = choose(Wishes("openai/other"), PRO, shut=frozenset({"anthropic/small"}))

    assert [model.spec for model in choice.others] == ["anthropic/large", "anthropic/small"]
    assert choose(Wishes("anthropic/small"), FREE).others == (OTHER,)


@pytest.mark.parametrize(
    ("ask", "level", "why"),
    [
        (Ask("RSI of SPX?"), "simple", "a short question"),
        (Ask("What is my name?", history_tokens=5000), "simple", "a short question"),
        (Ask("Tell me of it. " * 20), "normal", ""),
        (Ask("Backtest a cross of two averages on SPX"), "complex", "work with several tools (backtest)"),
        (Ask("Is my portfolio safe?"), "complex", "work with several tools (portfolio)"),
        (Ask("What is this?", attachments=1), "complex", "what is attached"),
        (Ask("Mend this:\n```\nx = 1\n```"), "complex", "a request with code"),
        (Ask("1. RSI\n2. MACD\n3. ATR"), "complex", "several questions at once"),
        (Ask("Up? Down? Sideways?"), "complex", "several questions at once"),
        (Ask("word " * 300), "complex", "a long request"),
        (Ask("And now?", history_tokens=30_000), "complex", "a long conversation"),
    ],
)
def test_a_request_is_judged_by_what_it_says_and_comes_with(ask: Ask, level: str, why: str) -> None:
    demand = judge(ask)

    assert (demand.level, demand.why) == (level, why)
