"""Which doors a licence opens. Source: DESIGN section 5: `features` {channels, models, workflows, deploy, schedules}."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.errors import NotIncluded
from accounts.features import require_channel, require_feature, require_turns, require_workflow
from accounts.licences import Licence
from accounts.tiers import FEATURES, LIMITS, Tier, features_of

NAMES = ("web", "telegram", "slack", "discord", "trading_analysis")
names = st.none() | st.lists(st.sampled_from(NAMES), unique=True)


def licence(tier: Tier = "pro", *, turns_at_once: int | None = 4, **features: object) -> Licence:
    limits = LIMITS[tier].model_copy(update={"turns_at_once": turns_at_once})
    return Licence("ada", "", tier, features_of(tier, features), limits, mcp_server_url="", expires_at=None)


def opens(door: Callable[[], None]) -> bool:
    try:
        door()
    except NotIncluded:
        return False
    return True


@pytest.mark.parametrize("tier", FEATURES)
def test_every_tier_opens_all_but_models(tier: Tier) -> None:
    of = licence(tier)

    assert all(opens(lambda name=name: require_channel(of, name)) for name in NAMES)  # type: ignore[misc]
    assert opens(lambda: require_workflow(of, "trading_analysis"))
    assert opens(lambda: require_feature(of, "deploy"))
    assert opens(lambda: require_feature(of, "schedules"))
    assert opens(lambda: require_turns(of))


@given(names, names, st.booleans(), st.booleans(), st.sampled_from(NAMES))
def test_a_door_is_open_when_the_licence_names_it(
    channels: list[str] | None, workflows: list[str] | None, deploy: bool, schedules: bool, name: str
) -> None:
    """Whatever the overrides are; one says nothing of another."""
    of = licence(channels=channels, workflows=workflows, deploy=deploy, schedules=schedules)

    assert opens(lambda: require_channel(of, name)) == (channels is None or name in channels)
    assert opens(lambda: require_workflow(of, name)) == (workflows is None or name in workflows)
    assert opens(lambda: require_feature(of, "deploy")) == deploy
    assert opens(lambda: require_feature(of, "schedules")) == schedules


def test_no_turns_at_once_is_no_agent() -> None:
    assert not opens(lambda: require_turns(licence(turns_at_once=0)))
    assert opens(lambda: require_turns(licence(turns_at_once=None)))


def test_a_refusal_names_the_licence_the_thing_and_whom_to_ask() -> None:
    with pytest.raises(
        NotIncluded, match=r"Your Free licence does not include deploying strategies\. Your administrator"
    ):
        require_feature(licence("free", deploy=False), "deploy")
