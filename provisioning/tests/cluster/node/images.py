"""Images as commands of this machine, and what a container's view of paths and ports means outside of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Image:
    """What an image's entrypoint would run. `environment` is the image's own; `ports` are those that it uses."""

    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()


_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


def expanded(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` is the variable's value, `$$` a dollar; a name that is not known stays as it is.

    Source: https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """
    return _REFERENCE.sub(lambda found: "$" if found[0] == "$$" else known.get(found[1], found[0]), text)


@dataclass(frozen=True)
class Translation:
    """A container's paths and ports in terms of the machine, which all containers share without namespaces."""

    mounts: Mapping[str, Path]
    ports: Mapping[int, int]

    def environment(self, values: Mapping[str, str]) -> dict[str, str]:
        return {name: self.text(value) for name, value in values.items()}

    def text(self, value: str) -> str:
        """A value of the environment or the command line: a path below a mount, a port, a URL with one, an address."""
        if value == "0.0.0.0":  # noqa: S104 - the pod's own address becomes loopback
            return "127.0.0.1"
        if value.isdecimal() and int(value) in self.ports:
            return str(self.ports[int(value)])
        for mount in sorted(self.mounts, key=len, reverse=True):
            if value == mount or value.startswith(f"{mount}/"):
                return str(self.mounts[mount]) + value[len(mount) :]
        return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda found: str(self.ports.get(int(found[0]), found[0])), value)
