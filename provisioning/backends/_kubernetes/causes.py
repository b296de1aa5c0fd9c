"""What the API server's refusals mean for a workspace."""

from provisioning.backends._kubernetes.errors import ApiFailed, Away, Missing, Refused
from provisioning.backends._kubernetes.judging import Trouble
from provisioning.backends._kubernetes.kinds import VOLUMES
from provisioning.backends._kubernetes.transport import UNKNOWN
from provisioning.errors import ADVICE, Cause, WorkspaceFailed


def failure_of(error: ApiFailed) -> WorkspaceFailed:
    """The failure that the user and the operator are told."""
    return failure_of_cause(_cause(error), str(error))


def failure_of_trouble(trouble: Trouble) -> WorkspaceFailed:
    """The same, of what the cluster shows."""
    return failure_of_cause(trouble.cause, trouble.detail)


def failure_of_cause(cause: Cause, detail: str) -> WorkspaceFailed:
    """The same, of a cause that is known; `detail` is what there is to see of it."""
    return WorkspaceFailed(cause, detail=f"{ADVICE[cause]} {detail}" if cause in ADVICE else detail)


def _cause(error: ApiFailed) -> Cause:
    if isinstance(error, Away):
        return Cause.CLUSTER_AWAY
    if isinstance(error, Missing) and error.message.startswith("namespaces "):
        # What is written into a namespace that is not there is answered so; a list of it is empty.
        return Cause.NO_NAMESPACE
    if not isinstance(error, Refused):
        return Cause.INTERNAL
    if "exceeded quota" in error.message:
        return Cause.STORAGE_QUOTA if f" {VOLUMES.plural} " in error.about else Cause.QUOTA
    if error.status == UNKNOWN:
        return Cause.UNKNOWN_TO_CLUSTER
    return Cause.FORBIDDEN if _is_of_the_authorizer(error) else Cause.REFUSED


def _is_of_the_authorizer(error: Refused) -> bool:
    """Whether a right is lacking. An admission plug-in answers 403 too, in words of anybody's choice.

    https://github.com/kubernetes/apiserver/blob/v0.33.0/pkg/endpoints/handlers/responsewriters/errors.go
    https://github.com/kubernetes/apiserver/blob/v0.33.0/pkg/admission/plugin/webhook/errors/statuserror.go
    """
    said = error.message
    return error.status == 403 and 'is forbidden: User "' in said and "denied the request" not in said
