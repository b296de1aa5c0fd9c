"""What a user has used: the messages of the last day, the month's budget, and the record by day. Written with SQL only."""

from django.db import models
from django.db.models.functions import Now


class AcceptedMessage(models.Model):
    """When a message was accepted; kept for a day. `number` counts a user's messages, so that windows need no counting."""

    pk = models.CompositePrimaryKey("user_id", "number")
    user_id = models.TextField()
    number = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        db_table = "accepted_messages"
        indexes = [
            models.Index(fields=["user_id", "at"], name="accepted_message_window"),
            models.Index(fields=["at"], name="accepted_message_age"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} #{self.number}"


class Budget(models.Model):
    """A user's month (its first day, UTC): what was used, and what is set aside for model calls that are under way."""

    pk = models.CompositePrimaryKey("user_id", "month")
    user_id = models.TextField()
    month = models.DateField()
    tokens_used = models.BigIntegerField(db_default=0)
    tokens_reserved = models.BigIntegerField(db_default=0)
    cost_used = models.DecimalField(max_digits=20, decimal_places=9, db_default=0, help_text="USD")
    cost_reserved = models.DecimalField(max_digits=20, decimal_places=9, db_default=0, help_text="USD")

    class Meta:
        db_table = "budgets"

    def __str__(self) -> str:
        return f"{self.user_id} {self.month}"


class BudgetReservation(models.Model):
    """What one step of a turn has set aside. `fence` is the turn's claim that did: nobody else can settle it."""

    turn_id = models.UUIDField(primary_key=True)
    fence = models.BigIntegerField()
    step = models.BigIntegerField()
    user_id = models.TextField()
    month = models.DateField()
    tokens = models.BigIntegerField()
    cost = models.DecimalField(max_digits=20, decimal_places=9, help_text="USD")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "budget_reservations"

    def __str__(self) -> str:
        return f"{self.turn_id}/{self.step}"


class Usage(models.Model):
    """What a user used on a day (UTC) of a model through a channel. Both are blank for the workspace's time.

    `cached_tokens` are part of `input_tokens`; the price of a model whose price is unknown is not in `cost_usd`.
    """

    user_id = models.TextField()
    day = models.DateField()
    model = models.TextField(blank=True, db_default="", help_text="provider/name")
    channel = models.TextField(blank=True, db_default="")
    input_tokens = models.BigIntegerField(db_default=0)
    cached_tokens = models.BigIntegerField(db_default=0)
    output_tokens = models.BigIntegerField(db_default=0)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=9, db_default=0)
    turns = models.BigIntegerField(db_default=0)
    failed_turns = models.BigIntegerField(db_default=0)
    tool_calls = models.BigIntegerField(db_default=0)
    workspace_s = models.BigIntegerField(db_default=0, help_text="seconds that the workspace ran")

    class Meta:
        db_table = "usage"
        verbose_name_plural = "usage"
        constraints = [models.UniqueConstraint(fields=["user_id", "day", "model", "channel"], name="usage_once")]
        indexes = [models.Index(fields=["day", "id"], name="usage_of_day")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.day} {self.model}"


class UsageDay(models.Model):
    """What all users together used on a day (UTC) that is over; see accounts.usage_days."""

    day = models.DateField(primary_key=True)
    active_users = models.BigIntegerField(help_text="users of whom a turn ended")
    turns = models.BigIntegerField()
    failed_turns = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cost_usd = models.DecimalField(max_digits=24, decimal_places=9)

    class Meta:
        db_table = "usage_days"

    def __str__(self) -> str:
        return str(self.day)
