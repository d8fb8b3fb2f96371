"""Everything that must survive: the names below come from the modules beside this file.

They resolve on first use, so that importing this package is cheap: LangGraph is only imported by
who asks for the FencedSaver.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from failsoft.checkpoints.audit import Audit, AuditEvent, body
    from failsoft.checkpoints.claims import Admission, Claim, RunState
    from failsoft.checkpoints.database import Database, connect
    from failsoft.checkpoints.effects import Effects
    from failsoft.checkpoints.embedded import EmbeddedPostgres
    from failsoft.checkpoints.lease import Lease
    from failsoft.checkpoints.migrate import migrate, pending
    from failsoft.checkpoints.model_calls import ModelCalls
    from failsoft.checkpoints.outbox import Outbox
    from failsoft.checkpoints.parks import Delivery, Park, Parks
    from failsoft.checkpoints.reviews import Reviews
    from failsoft.checkpoints.runs import Runs
    from failsoft.checkpoints.saver import EPOCH, FencedSaver
    from failsoft.checkpoints.store import Store
    from failsoft.checkpoints.workers import Workers

__all__ = [
    "EPOCH",
    "Admission",
    "Audit",
    "AuditEvent",
    "Claim",
    "Database",
    "Delivery",
    "Effects",
    "EmbeddedPostgres",
    "FencedSaver",
    "Lease",
    "ModelCalls",
    "Outbox",
    "Park",
    "Parks",
    "Reviews",
    "RunState",
    "Runs",
    "Store",
    "Workers",
    "body",
    "connect",
    "migrate",
    "pending",
]

HOMES = {
    "audit": ("Audit", "AuditEvent", "body"),
    "claims": ("Admission", "Claim", "RunState"),
    "database": ("Database", "connect"),
    "effects": ("Effects",),
    "embedded": ("EmbeddedPostgres",),
    "lease": ("Lease",),
    "migrate": ("migrate", "pending"),
    "model_calls": ("ModelCalls",),
    "outbox": ("Outbox",),
    "parks": ("Delivery", "Park", "Parks"),
    "reviews": ("Reviews",),
    "runs": ("Runs",),
    "saver": ("EPOCH", "FencedSaver"),
    "store": ("Store",),
    "workers": ("Workers",),
}


def __getattr__(name: str) -> object:
    for module, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
