"""The workspace that a licence gives."""

from accounts.licences import Licence
from provisioning.backends import Spec
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.names import workspace_name


def spec_of(licence: Licence) -> Spec:
    """What is wanted of a backend. Raises WorkspaceFailed for a user id that no workspace can have."""
    user_id, limits = licence.user_id, licence.limits
    # What neither a command line nor a text column can hold.
    if not user_id.strip() or "\x00" in user_id or not _is_unicode(user_id):
        raise WorkspaceFailed(Cause.INVALID_USER)
    return Spec(
        name=workspace_name(user_id),
        user_id=user_id,
        tier=licence.tier,
        idle_s=limits.idle_s,
        memory=limits.memory,
        cpu=limits.cpu,
        storage=limits.storage,
    )


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
