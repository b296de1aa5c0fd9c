"""What a backend tells its caller during a start, noted."""

from provisioning.backends import Instance


class Notes:
    """The stages and instances that were told, in order; `details` are the sentences in place of a stage's own."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.details: list[str] = []
        self.instances: list[Instance] = []

    async def report(self, stage: str, *, detail: str = "") -> None:
        """Note a stage."""
        self.stages.append(stage)
        if detail:
            self.details.append(detail)

    async def record(self, instance: Instance) -> None:
        """Note an instance."""
        self.instances.append(instance)
