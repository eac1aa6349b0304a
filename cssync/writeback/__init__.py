"""Write-back: plan (pure), brakes, outbox, apply, provision."""

from cssync.writeback.apply import ApplyReport, apply_plan, settle
from cssync.writeback.plan import Plan, PlannedChange, approve_plan, load_plan, make_plan
from cssync.writeback.provision import provision

__all__ = [
    "ApplyReport",
    "Plan",
    "PlannedChange",
    "apply_plan",
    "approve_plan",
    "load_plan",
    "make_plan",
    "provision",
    "settle",
]
