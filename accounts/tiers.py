"""What each tier gives, and how a licence may differ from its tier: one typed model for both."""

import json
import re
from typing import Annotated, Literal

from django.conf import settings
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Tier = Literal["free", "pro", "enterprise"]
ModelSize = Literal["small", "large"]

# Kubernetes quantities as the tiers use them: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_BYTES = re.compile(r"[1-9][0-9]{0,5}(Mi|Gi|Ti)")
_CPU = re.compile(r"[1-9][0-9]{0,5}m?")


def _bytes_quantity(value: str) -> str:
    if not _BYTES.fullmatch(value):
        raise ValueError("must be a whole number of Mi, Gi or Ti, such as 512Mi")
    return value


def _cpu_quantity(value: str) -> str:
    if not _CPU.fullmatch(value):
        raise ValueError("must be a whole number of cores or millicores, such as 2 or 500m")
    return value


Bytes = Annotated[str, AfterValidator(_bytes_quantity)]
Cpu = Annotated[str, AfterValidator(_cpu_quantity)]
Count = Annotated[int, Field(ge=0, le=10**12)]
# What a file in channels_app/channels/ or agents/workflows/ may be called.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Features(_Strict):
    """What a licence opens. `channels` and `workflows` None = all; `models` = sizes of the catalogue, None = all models."""

    channels: tuple[Name, ...] | None = None
    models: tuple[ModelSize, ...] | None = None
    workflows: tuple[Name, ...] | None = None
    deploy: bool = True
    schedules: bool = True


class Limits(_Strict):
    """How much; None = no limit. `idle_s` 0 = the workspace is never stopped for being idle."""

    memory: Bytes
    cpu: Cpu
    storage: Bytes
    idle_s: Count
    messages_per_minute: Count | None
    messages_per_day: Count | None
    turns_at_once: Count | None
    tokens_per_month: Count | None
    cost_usd_per_month: Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)] | None


FEATURES: dict[Tier, Features] = {
    "free": Features(models=("small",)),
    "pro": Features(models=("small", "large")),
    "enterprise": Features(),
}
LIMITS: dict[Tier, Limits] = {
    "free": Limits(
        memory="512Mi", cpu="500m", storage="1Gi", idle_s=15 * 60, messages_per_minute=10, messages_per_day=100,
        turns_at_once=1, tokens_per_month=1_000_000, cost_usd_per_month=None,
    ),
    "pro": Limits(
        memory="2Gi", cpu="2000m", storage="10Gi", idle_s=60 * 60, messages_per_minute=60, messages_per_day=2_000,
        turns_at_once=4, tokens_per_month=20_000_000, cost_usd_per_month=None,
    ),
    "enterprise": Limits(
        memory="4Gi", cpu="4000m", storage="50Gi", idle_s=0, messages_per_minute=300, messages_per_day=None,
        turns_at_once=16, tokens_per_month=None, cost_usd_per_month=None,
    ),
}  # fmt: skip


def features_of(tier: Tier, overrides: dict[str, object]) -> Features:
    """The tier's features with a licence's own; raises pydantic.ValidationError for an unknown key or a bad value."""
    return Features.model_validate_json(_json(FEATURES[tier], overrides)) if overrides != {} else FEATURES[tier]


def limits_of(tier: Tier, overrides: dict[str, object]) -> Limits:
    """The tier's limits with a licence's own; raises pydantic.ValidationError for an unknown key or a bad value."""
    defaults = tier_limits(tier)
    return Limits.model_validate_json(_json(defaults, overrides)) if overrides != {} else defaults


def tier_limits(tier: Tier) -> Limits:
    """The tier's limits on this installation: the operator's IDLE_TIMEOUT_…_S replaces the tier's idle time."""
    idle_s = int(getattr(settings, f"IDLE_TIMEOUT_{tier.upper()}_S"))
    return LIMITS[tier] if idle_s < 0 else LIMITS[tier].model_copy(update={"idle_s": idle_s})


def _json(defaults: BaseModel, overrides: dict[str, object]) -> str:
    # Strict models take lists for tuples only when they read JSON.
    return json.dumps(defaults.model_dump(mode="json") | overrides)
