"""The Pod Security Standards `baseline` and `restricted`, as far as our manifests could break them.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/; wording from pod-security-admission/policy.
"""

from collections.abc import Callable, Iterator

from provisioning.tests.cluster.kinds import Object

_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
        "image",
    }
)
_BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
    }
    | {"SETPCAP", "SETUID", "SYS_CHROOT"}
)


def violations(level: str, spec: Object) -> list[str]:
    """What a pod does that the level forbids, in the admission's words."""
    checks = {"baseline": _BASELINE, "restricted": (*_BASELINE, *_RESTRICTED)}.get(level, ())
    return [found for check in checks for found in check(spec)]


def _containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def _security(container: Object) -> Object:
    security: Object = container.get("securityContext") or {}
    return security


def _offenders(spec: Object, offends: Callable[[Object], bool]) -> str:
    """`container "a"` or `containers "a", "b"`; empty when none offends."""
    names = [f'"{container["name"]}"' for container in _containers(spec) if offends(container)]
    return f"container{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else ""


def _host_namespaces(spec: Object) -> Iterator[str]:
    used = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if used:
        yield f"host namespaces ({', '.join(f'{name}=true' for name in used)})"


def _host_paths(spec: Object) -> Iterator[str]:
    named = [f'"{volume["name"]}"' for volume in spec.get("volumes", []) if "hostPath" in volume]
    if named:
        yield f"hostPath volumes (volume {', '.join(named)})"


def _privileged(spec: Object) -> Iterator[str]:
    who = _offenders(spec, lambda container: bool(_security(container).get("privileged")))
    if who:
        yield f"privileged ({who} must not set securityContext.privileged=true)"


def _capabilities(spec: Object) -> Iterator[str]:
    def adds(container: Object) -> bool:
        return bool(set((_security(container).get("capabilities") or {}).get("add") or []) - _BASELINE_CAPABILITIES)

    if who := _offenders(spec, adds):
        yield f"non-default capabilities ({who} must not include others in securityContext.capabilities.add)"


def _host_ports(spec: Object) -> Iterator[str]:
    if who := _offenders(spec, lambda container: any(port.get("hostPort") for port in container.get("ports") or [])):
        yield f"hostPort ({who} uses hostPort)"


def _escalation(spec: Object) -> Iterator[str]:
    if who := _offenders(spec, lambda container: _security(container).get("allowPrivilegeEscalation") is not False):
        yield f"allowPrivilegeEscalation != false ({who} must set securityContext.allowPrivilegeEscalation=false)"


def _all_dropped(spec: Object) -> Iterator[str]:
    def keeps(container: Object) -> bool:
        capabilities = _security(container).get("capabilities") or {}
        return "ALL" not in (capabilities.get("drop") or []) or bool(
            set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}
        )

    if who := _offenders(spec, keeps):
        yield f'unrestricted capabilities ({who} must set securityContext.capabilities.drop=["ALL"])'


def _volume_types(spec: Object) -> Iterator[str]:
    wrong = [volume for volume in spec.get("volumes", []) if not _VOLUMES & volume.keys()]
    if wrong:
        listed = ", ".join(f'"{volume["name"]}"' for volume in wrong)
        yield f"restricted volume types (volumes {listed} use other types)"


def _non_root(spec: Object) -> Iterator[str]:
    of_pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    if who := _offenders(spec, lambda container: _security(container).get("runAsNonRoot", of_pod) is not True):
        yield f"runAsNonRoot != true (pod or {who} must set securityContext.runAsNonRoot=true)"


def _user(spec: Object) -> Iterator[str]:
    if (spec.get("securityContext") or {}).get("runAsUser") == 0:
        yield "runAsUser=0 (pod must not set runAsUser=0)"
    if who := _offenders(spec, lambda container: _security(container).get("runAsUser") == 0):
        yield f"runAsUser=0 ({who} must not set runAsUser=0)"


def _seccomp(spec: Object) -> Iterator[str]:
    allowed = {"RuntimeDefault", "Localhost"}
    of_pod = (spec.get("securityContext") or {}).get("seccompProfile", {})

    def wrong(container: Object) -> bool:
        return _security(container).get("seccompProfile", of_pod).get("type") not in allowed

    if who := _offenders(spec, wrong):
        yield (
            f'seccompProfile (pod or {who} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
        )


_Check = Callable[[Object], Iterator[str]]
_BASELINE: tuple[_Check, ...] = (_host_namespaces, _host_paths, _privileged, _capabilities, _host_ports)
_RESTRICTED: tuple[_Check, ...] = (_escalation, _all_dropped, _volume_types, _non_root, _user, _seccomp)
