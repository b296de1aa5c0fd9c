"""Rows of the turn engine. Only tables and their constraints: the use cases write them with SQL (see turns.py, queue.py)."""

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Now

from gateway.ids import new_uuid


class OrderedJSON(models.JSONField):
    """JSON whose names stay in their order, as people are shown them: jsonb sorts them by length (PostgreSQL, 8.14)."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:  # noqa: ARG002 - Django's signature
        """The column's type."""
        return "json"


class TurnState(models.TextChoices):
    """Where a turn stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    AWAITING_ANSWER = "awaiting_answer"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL_STATES = (TurnState.DONE, TurnState.FAILED, TurnState.CANCELLED)


class Conversation(models.Model):
    """A thread of talk of one user; its messages live in the user's workspace."""

    id = models.UUIDField(primary_key=True, default=new_uuid)
    user_id = models.TextField()
    alias = models.TextField(blank=True, default="", help_text="'main' for the one that all channels of a user share")
    title = models.TextField(blank=True, default="")
    model = models.TextField(blank=True, default="", help_text="provider/name that it goes on with")
    model_settled = models.BooleanField(db_default=False, help_text="its user chose that model")
    summed_up_after = models.DateTimeField(null=True, blank=True, help_text="no other summary is begun before")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "conversations"
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "alias"], condition=~models.Q(alias=""), name="conversation_alias"
            )
        ]
        indexes = [models.Index(fields=["user_id", "-updated_at"], name="conversation_recent")]

    def __str__(self) -> str:
        return self.title or str(self.id)


class Turn(models.Model):
    """One user message and its answer.

    `holder` and `fence` say which worker's claim may write (gateway.leases). `journal_floor` is past every `seq` that was
    ever given to an event of the turn, so that numbering never restarts. `content`, `answer` and `history` are erased once
    the workspace has stored them and deliveries are settled; `digest` stays. `answer` of an open turn is what it had written
    when it began to wait for its user.
    """

    id = models.UUIDField(primary_key=True, default=new_uuid)
    user_id = models.TextField()
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="turns")
    channel = models.TextField()
    external_id = models.TextField()
    digest = models.TextField(help_text="SHA-256 of the content, for duplicates and audit")
    content = models.TextField(blank=True)
    wanted_model = models.TextField(blank=True, default="")
    reply_to = models.JSONField(default=dict, help_text="the channel's own target, such as chat and message")
    state = models.TextField(choices=TurnState.choices, default=TurnState.QUEUED)
    accepted_at = models.DateTimeField(db_default=Now())
    run_after = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    holder = models.UUIDField(null=True, blank=True)
    fence = models.BigIntegerField(default=0)
    journal_floor = models.BigIntegerField(default=1)
    last_seq = models.BigIntegerField(
        null=True, blank=True, help_text="the number of the last event, once it is written"
    )
    cancel_requested = models.BooleanField(default=False)
    model = models.TextField(blank=True, default="")
    answer = models.TextField(blank=True, default="")
    history = models.JSONField(null=True, blank=True, help_text="messages that the workspace has not stored yet")
    history_stored_at = models.DateTimeField(null=True, blank=True)
    usage = models.JSONField(default=dict)
    metered = models.BooleanField(db_default=False, help_text="counted in the usage, which is done once")
    wait_kind = models.TextField(
        blank=True, db_default="", help_text="approval or question: what it waits or waited for"
    )
    wait_id = models.UUIDField(null=True, blank=True, help_text="the row of what it waits or waited for last")
    wait_state = models.JSONField(null=True, blank=True, help_text="the agent's own, for when the turn goes on")
    waits = models.PositiveIntegerField(db_default=0, help_text="how often it has waited for its user")
    error_code = models.TextField(blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    steers = models.BooleanField(db_default=False, help_text="joins the turn that runs, before its next model call")
    joined_to = models.UUIDField(null=True, blank=True, help_text="the turn in whose answer this one is taken up")
    told_position = models.IntegerField(null=True, blank=True, help_text="the last place in the queue that was told")
    dead = models.BooleanField(default=False, help_text="given up after the last attempt; may be retried by staff")

    class Meta:
        db_table = "turns"
        constraints = [
            models.UniqueConstraint(fields=["user_id", "channel", "external_id"], name="turn_once"),
        ]
        indexes = [
            models.Index(
                fields=["conversation", "accepted_at", "id"],
                condition=models.Q(state__in=["queued", "running"]),
                name="turn_open",
            ),
            models.Index(fields=["conversation"], condition=models.Q(holder__isnull=False), name="turn_held"),
            models.Index(
                fields=["conversation", "finished_at"],
                condition=models.Q(history_stored_at=None, history__isnull=False),
                name="turn_unstored",
            ),
            models.Index(
                fields=["finished_at"],
                condition=models.Q(history__isnull=True) & ~models.Q(content=""),
                name="turn_text_left",
            ),
            models.Index(fields=["joined_to"], condition=models.Q(joined_to__isnull=False), name="turn_joined"),
            models.Index(fields=["user_id", "-accepted_at"], name="turn_of_user"),
            models.Index(
                fields=["user_id"],
                condition=~models.Q(state__in=["done", "failed", "cancelled"]),
                name="turn_open_of_user",
            ),
            models.Index(fields=["user_id"], condition=models.Q(state="running"), name="turn_running"),
            models.Index(fields=["finished_at"], condition=models.Q(dead=True), name="turn_dead"),
            models.Index(fields=["id"], condition=models.Q(state="failed"), name="turn_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({self.state})"


class WaitState(models.TextChoices):
    """What became of something that a turn waits for; all but the first are final."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    ANSWERED = "answered"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Awaited(models.Model):
    """What a turn waits for. Pending exactly as long as its turn waits; settled once, by compare-and-set (see waits.py)."""

    id = models.UUIDField(primary_key=True, default=new_uuid)
    user_id = models.TextField()
    state = models.TextField(choices=WaitState.choices, db_default=WaitState.PENDING)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    by_channel = models.TextField(blank=True, db_default="", help_text="where it was decided; gateway = by its time")

    class Meta:
        abstract = True


class Approval(Awaited):
    """A yes or no that a turn waits for; texts are erased with the turn's own, `digest` stays."""

    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, related_name="approvals")
    workflow = models.TextField()
    title = models.TextField(blank=True)
    details = OrderedJSON(default=dict)
    covered = models.TextField(blank=True, help_text="the canonical JSON of which `digest` is the SHA-256")
    digest = models.TextField()
    comment = models.TextField(blank=True, db_default="", help_text="what the user said to the decision")

    class Meta:
        db_table = "approvals"
        indexes = [
            models.Index(fields=["turn"], name="approval_of_turn"),
            models.Index(fields=["user_id", "-id"], name="approval_of_user"),
            models.Index(fields=["expires_at"], condition=models.Q(state="pending"), name="approval_pending"),
            models.Index(fields=["turn"], condition=~models.Q(covered=""), name="approval_text_left"),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({self.state})"


class Question(Awaited):
    """Something that a turn asks its user; texts are erased with the turn's own."""

    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, related_name="questions")
    text = models.TextField(blank=True)
    schema = OrderedJSON(default=dict)
    values = models.JSONField(null=True, blank=True)

    class Meta:
        db_table = "questions"
        indexes = [
            models.Index(fields=["turn"], name="question_of_turn"),
            models.Index(fields=["user_id", "-id"], name="question_of_user"),
            models.Index(fields=["expires_at"], condition=models.Q(state="pending"), name="question_pending"),
            models.Index(fields=["turn"], condition=~models.Q(text=""), name="question_text_left"),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({self.state})"


class Picture(models.Model):
    """A picture that a tool or a model made for the user and that no workspace keeps."""

    id = models.UUIDField(primary_key=True, default=new_uuid)
    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, related_name="pictures")
    user_id = models.TextField()
    media_type = models.TextField()
    content = models.BinaryField()
    kept_until = models.DateTimeField()

    class Meta:
        db_table = "pictures"
        indexes = [models.Index(fields=["kept_until"], name="picture_kept_until")]

    def __str__(self) -> str:
        return str(self.id)


class Upload(models.Model):
    """A file for a message: erased an hour after its answer, or unsent after an hour; see uploads.py."""

    id = models.UUIDField(primary_key=True, default=new_uuid)
    user_id = models.TextField()
    name = models.TextField()
    kind = models.TextField(help_text="picture, pdf or text, as seen from its content")
    media_type = models.TextField()
    size = models.PositiveIntegerField()
    content = models.BinaryField()
    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, null=True, blank=True, related_name="uploads")
    place = models.PositiveIntegerField(db_default=0, help_text="which of its message's files")
    outcome = models.TextField(blank=True, db_default="", help_text="what became of a document in the workspace")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(help_text="erased then, if no message has taken it")

    class Meta:
        db_table = "uploads"
        indexes = [
            models.Index(fields=["turn"], condition=models.Q(turn__isnull=False), name="upload_of_turn"),
            models.Index(fields=["user_id"], condition=models.Q(turn__isnull=True), name="upload_unsent"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class EffectKey(models.Model):
    """The idempotency key of a tool's call, kept before the call; `digest` is of its arguments."""

    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, related_name="effect_keys")
    tool = models.TextField()
    digest = models.TextField()
    nth = models.PositiveIntegerField(help_text="which of several calls of an attempt that are the same")
    key = models.TextField()

    class Meta:
        db_table = "effect_keys"
        constraints = [models.UniqueConstraint(fields=["turn", "tool", "digest", "nth"], name="effect_key_once")]

    def __str__(self) -> str:
        return self.key


class ChatSettings(models.Model):
    """How a user wants the gateway to treat messages, on every channel."""

    user_id = models.TextField(primary_key=True)
    when_busy = models.TextField(help_text="queue, interrupt, steer or reject: a message during an answer")

    class Meta:
        db_table = "chat_settings"
        verbose_name_plural = "chat settings"

    def __str__(self) -> str:
        return self.user_id


class OutboxRow(models.Model):
    """What must reach people outside the page, committed together with the change of state that it tells of; taken = deleted."""

    id = models.UUIDField(primary_key=True, default=new_uuid)
    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, null=True, related_name="outbox")
    user_id = models.TextField()
    channel = models.TextField()
    reply_to = models.JSONField(default=dict)
    kind = models.TextField()
    payload = OrderedJSON()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "outbox"

    def __str__(self) -> str:
        return f"{self.kind} for {self.user_id}"


class WorkflowRun(models.Model):
    """A turn that a workflow answers, until the turn has ended. No foreign key, since it is swept once the turn is gone."""

    turn = models.UUIDField(primary_key=True, db_column="turn_id")
    workflow = models.TextField()
    inputs = models.JSONField(help_text="what it was started with")
    said = models.TextField(blank=True, help_text="what the agent had said before it started the workflow")
    messages = models.JSONField(default=list)
    call = models.TextField(blank=True, help_text="the agent's call of the workflow; blank when a person started it")
    usage = models.JSONField(default=dict)

    class Meta:
        db_table = "workflow_runs"

    def __str__(self) -> str:
        return f"{self.workflow} of {self.turn}"


class Schedule(models.Model):
    """A task that the agent does at set times, or an alert on a price; written with SQL (see schedules/).

    `holder` and `fence` say which worker looks at an alert (gateway.leases). `armed`, `source`, `seen` and `last_price` are an
    alert's: whether it may fire, the symbol that has prices, and the newest bar that was looked at.
    """

    id = models.UUIDField(primary_key=True, default=new_uuid)
    user_id = models.TextField()
    number = models.PositiveIntegerField(help_text="what the user calls it by")
    kind = models.TextField(help_text="task or alert")
    channel = models.TextField(help_text="where it is told")
    reply_to = models.JSONField(default=dict, help_text="the channel's own target")
    spec = models.JSONField()
    state = models.TextField(db_default="active", help_text="active or paused")
    reason = models.TextField(blank=True, db_default="", help_text="why it is paused, or can't be checked")
    due_at = models.DateTimeField()
    holder = models.UUIDField(null=True, blank=True)
    fence = models.BigIntegerField(db_default=0)
    failures = models.PositiveIntegerField(db_default=0, help_text="looks in a row that found no price")
    armed = models.BooleanField(db_default=True)
    source = models.TextField(blank=True, db_default="")
    seen = models.TextField(blank=True, db_default="")
    last_price = models.DecimalField(max_digits=30, decimal_places=12, null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    run_at = models.DateTimeField(null=True, blank=True, help_text="when it was last done, or looked at")
    fired_at = models.DateTimeField(null=True, blank=True)
    fired_turn = models.UUIDField(null=True, blank=True, help_text="the turn that tells of the last alert")
    delivered_at = models.DateTimeField(null=True, blank=True, help_text="when a platform said that it had shown it")
    receipt = models.TextField(blank=True, db_default="", help_text="the platform's own id of that message")

    class Meta:
        db_table = "schedules"
        constraints = [models.UniqueConstraint(fields=["user_id", "number"], name="schedule_number")]
        indexes = [
            models.Index(fields=["kind", "due_at"], name="schedule_due"),
            models.Index(fields=["holder"], condition=models.Q(holder__isnull=False), name="schedule_held"),
            models.Index(fields=["fired_turn"], condition=models.Q(fired_turn__isnull=False), name="schedule_fired"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.number} of {self.user_id}"


class ModelCircuit(models.Model):
    """A model (`provider/name`) or a provider that failed lately, and until when it is not asked first."""

    target = models.TextField(primary_key=True)
    failures = models.PositiveSmallIntegerField()
    open_until = models.DateTimeField()

    class Meta:
        db_table = "model_circuits"

    def __str__(self) -> str:
        return f"{self.target} until {self.open_until:%H:%M:%S}"
