"""What another tier changes, in words. Source: DESIGN section 5, tiers; docs/operations.md, The admin."""

from accounts.models import UserLicence
from accounts.tier_changes import UNREADABLE, Value, allowed_by, tier_change


def test_only_what_differs_is_shown() -> None:
    change = tier_change(UserLicence(user_id="ada", license_type="pro"), "enterprise")

    words = {each.label: (each.before, each.after) for each in change.differences}
    assert words["Models"] == ("small, large", "all")
    assert words["Messages a day"] == ("2,000", "no limit")
    assert words["Stopped when idle for"] == ("60 min", "never")
    assert "Channels" not in words
    assert change.kept == []


def test_a_licences_own_settings_stay_whatever_the_tier() -> None:
    row = UserLicence(
        user_id="ada",
        license_type="free",
        features={"models": [], "deploy": False},
        resource_limits={"cost_usd_per_month": 2.5, "idle_s": 90},
    )

    change = tier_change(row, "pro")

    assert {each.label for each in change.differences}.isdisjoint({"Models", "Stopped when idle for"})
    assert change.kept == [
        Value("Models", "none", own=True),
        Value("Deploying strategies", "no", own=True),
        Value("Stopped when idle for", "90 s", own=True),
        Value("Cost a month", "$2.50", own=True),
    ]


def test_what_can_not_be_read_says_so() -> None:
    for row in (UserLicence(license_type="platinum"), UserLicence(license_type="pro", features=["x"])):
        assert tier_change(row, "free").fault == UNREADABLE
        assert allowed_by(row) == []
