"""The table of worker processes that are alive."""

from django.db import models

from gateway.ids import new_uuid


class WorkerLease(models.Model):
    """A worker process, alive until `expires_at` by the database's clock; see gateway.leases."""

    id = models.UUIDField(primary_key=True, default=new_uuid)
    name = models.TextField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "worker_leases"

    def __str__(self) -> str:
        return self.name
