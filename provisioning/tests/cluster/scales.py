"""The replicas that a Scale asks for."""

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.kinds import Kind, Object


def replicas_of(kind: Kind, scale: Object) -> int:
    """0 when they are left out, as in the real type. Raises Refused 422."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise statuses.bad_request("json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32")
    if replicas < 0:
        problem = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise statuses.invalid(kind, scale["metadata"].get("name", ""), [("spec.replicas", problem)])
    return replicas
