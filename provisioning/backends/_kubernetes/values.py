"""What differs by tier and by cluster: the table in `manifests/values.yaml`, or the operator's own in WORKSPACE_VALUES."""

from decimal import Decimal
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from accounts.tiers import Bytes, Cpu, Tier
from provisioning.backends._kubernetes.templates import FOLDER

_BINARY = {"Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
# What an object's or a class's name may be: RFC 1123, as Kubernetes has it.
Label = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
LabelKey = Annotated[
    str,
    Field(pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"),
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
Count = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Toleration(_Strict):
    """A taint of nodes that a workspace puts up with, as a pod has it.

    https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    """

    key: LabelKey | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: Annotated[int, Field(ge=0)] | None = None  # noqa: N815 - as Kubernetes spells it

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("a toleration that Exists has no value")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("a toleration without a key must be one that Exists")
        if self.tolerationSeconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds goes with the effect NoExecute")
        return self


class TierValues(_Strict):
    """What the scheduler keeps free for a workspace of a tier, which of the cluster's classes it uses, and where it runs.

    What has a default here was not in the tables of earlier releases.
    """

    memory_request: Bytes
    cpu_request: Cpu
    runtime_class: Label | None
    storage_class: Label | None
    priority_class: Label | None = None
    node_selector: dict[LabelKey, LabelValue] = {}
    tolerations: list[Toleration] = []
    evictable: bool = False
    keep_data_days: Annotated[int, Field(ge=1, le=36_500)]

    @property
    def pod_tolerations(self) -> list[dict[str, Any]]:
        """The tolerations as a pod has them."""
        return [each.model_dump(exclude_none=True) for each in self.tolerations]


class Quota(_Strict):
    """Of all workspaces together."""

    pods: Count
    requests_cpu: Count
    requests_memory: Bytes
    requests_storage: Bytes


class Values(_Strict):
    """The whole table."""

    tiers: dict[Tier, TierValues]
    gateway_namespace: Label
    gateway_service_account: Label
    api_server_cidr: Annotated[str, Field(pattern=r"^[0-9a-f.:]+/[0-9]{1,3}$")]
    image_pull_secrets: list[Label] = []
    quota: Quota


def values() -> Values:
    """The table in use. Raises ImproperlyConfigured for one that can't be read, with what is wrong in it."""
    return _read(Path(settings.WORKSPACE_VALUES or FOLDER / "values.yaml"))


def api_servers() -> list[str]:
    """The networks in which workspaces reach the API server. Raises ImproperlyConfigured for what is no network."""
    told = settings.WORKSPACE_API_SERVER_CIDR or [values().api_server_cidr]
    try:
        return [str(ip_network(each)) for each in told]
    except ValueError as error:
        where = (
            "WORKSPACE_API_SERVER_CIDR" if settings.WORKSPACE_API_SERVER_CIDR else "api_server_cidr of WORKSPACE_VALUES"
        )
        raise ImproperlyConfigured(f"{where} must name networks such as 10.0.0.5/32.") from error


def size(quantity: str) -> int:
    """The bytes of a quantity as licences have them: `512Mi`."""
    return int(quantity[:-2]) * _BINARY[quantity[-2:]]


def cores(quantity: str) -> Decimal:
    """The cores of a quantity as licences have them: `2` or `500m`."""
    return Decimal(quantity[:-1]) / 1000 if quantity.endswith("m") else Decimal(quantity)


@lru_cache(maxsize=2)
def _read(path: Path) -> Values:
    try:
        found = Values.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ImproperlyConfigured(f"WORKSPACE_VALUES can't be read: {type(error).__name__}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ImproperlyConfigured(f"WORKSPACE_VALUES is wrong at {where}: {first['msg']}.") from error
    missing = {"free", "pro", "enterprise"} - set(found.tiers)
    if missing:
        raise ImproperlyConfigured(f"WORKSPACE_VALUES has no tier {', '.join(sorted(missing))}.")
    return found
