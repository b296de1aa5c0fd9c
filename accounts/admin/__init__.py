"""Staff's pages. Django finds an app's in this package; each module registers its own."""

from accounts.admin import audit, licences, staff, usage

__all__ = ["audit", "licences", "staff", "usage"]
