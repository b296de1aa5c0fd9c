"""The three patches besides apply: JSON patch (RFC 6902), merge patch (RFC 7396), strategic merge patch.

Of the strategic directives only `$patch: delete`, `$patch: replace` and `$retainKeys`-less merging are understood.
"""

from typing import Any

import jsonpatch
import jsonpointer

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.lists import SETS, is_atomic, key_of, merge_keys
from provisioning.tests.cluster.store import copied

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


def patched(live: Object, patch: Any, content_type: str) -> Object:
    """The object after the patch. Raises Refused 400 or 422."""
    if content_type == JSON_PATCH:
        return _json_patched(live, patch)
    if not isinstance(patch, dict):
        raise statuses.bad_request(
            "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}"
        )
    merged: Object = _merged(copied(live), patch, strategic=content_type == STRATEGIC)
    return merged


def _json_patched(live: Object, patch: Any) -> Object:
    try:
        after: Object = dict(jsonpatch.apply_patch(copied(live), patch))
    except (jsonpatch.InvalidJsonPatch, TypeError, AttributeError) as error:
        raise statuses.bad_request(
            "error decoding patch: json: cannot unmarshal object into jsonpatch.Patch"
        ) from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        # https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go
        message = "the server rejected our request due to an error in our request"
        raise statuses.Refused(422, "Invalid", message) from error
    return after


def _merged(live: Any, patch: Object, *, strategic: bool) -> Any:
    if not isinstance(live, dict) or (strategic and patch.get("$patch") == "replace"):
        live = {}
    for name, value in patch.items():
        if name == "$patch":
            continue
        if value is None:
            live.pop(name, None)
        elif isinstance(value, dict):
            live[name] = _merged(live.get(name), value, strategic=strategic)
        elif strategic and isinstance(value, list) and isinstance(live.get(name), list):
            live[name] = _merged_list(name, live[name], value)
        else:
            live[name] = value
    return live


def _merged_list(name: str, live: list[Any], patch: list[Any]) -> list[Any]:
    if name in SETS:
        return [*live, *(item for item in patch if item not in live)]
    keys = merge_keys(name, [item for item in patch if isinstance(item, dict)])
    if is_atomic(name, patch) or not keys:
        return patch
    held = {key_of(item, keys): item for item in live}
    for item in patch:
        key = key_of(item, keys)
        if item.get("$patch") == "delete":
            held.pop(key, None)
        else:
            held[key] = _merged(held.get(key), item, strategic=True)
    return list(held.values())
