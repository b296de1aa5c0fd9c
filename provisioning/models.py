"""The table of workspaces, one row a user that ever had one, and how often they were started."""

from django.db import models
from django.db.models.functions import Now


class State(models.TextChoices):
    """Where a workspace is in its life."""

    STARTING = "starting", "starting"
    READY = "ready", "ready"
    STOPPING = "stopping", "stopping"
    STOPPED = "stopped", "stopped"
    FAILED = "failed", "failed"


class Workspace(models.Model):
    """What the gateway knows of one user's workspace; its data live elsewhere and outlast the row.

    `holder` is the lease of the process that owns it: it does the work while `starting` and `stopping`, and keeps the
    owner's heartbeat while `ready`. `generation` grows with every start, stop and change of hands, and every write
    of the owner names it. `facts` is what the backend needs to find the workspace again; of what others read there is only its
    `release`, which the backend compares.
    """

    name = models.CharField(max_length=63, primary_key=True)
    # Not a foreign key: a workspace's data outlast the licence. Not indexed: the name, its hash, is the key.
    user_id = models.TextField()
    backend = models.CharField(max_length=32)
    state = models.CharField(max_length=16, choices=State.choices)
    stage = models.CharField(max_length=16, blank=True, db_default="")
    stage_detail = models.TextField(
        blank=True, db_default="", help_text="What its user is told in place of the stage's own."
    )
    url = models.TextField(blank=True, db_default="")
    facts = models.JSONField(db_default={})
    holder = models.UUIDField(null=True, blank=True)
    generation = models.BigIntegerField(db_default=0)
    stage_ms = models.JSONField(db_default={}, help_text="Milliseconds that each stage of the last start took.")
    last_cause = models.CharField(max_length=32, blank=True, db_default="")
    last_detail = models.TextField(blank=True, db_default="", help_text="For the operator: what the last failure was.")
    since = models.DateTimeField(db_default=Now(), help_text="When the state was entered.")
    counted_at = models.DateTimeField(null=True, blank=True, help_text="Up to when its time is in the usage.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "workspaces"
        indexes = [
            models.Index(
                fields=["name"],
                name="workspaces_live",
                condition=models.Q(state__in=["starting", "ready", "stopping"]),
            ),
            models.Index(fields=["state", "name"], name="workspace_by_state"),
            models.Index(fields=["last_cause", "name"], condition=~models.Q(last_cause=""), name="workspace_by_cause"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"


class WorkspaceDay(models.Model):
    """How many workspaces were started on a day (UTC), and how many starts failed; `start_ms` is what all the former took."""

    day = models.DateField(primary_key=True)
    starts = models.BigIntegerField(db_default=0)
    failed_starts = models.BigIntegerField(db_default=0)
    start_ms = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "workspace_days"

    def __str__(self) -> str:
        return str(self.day)
