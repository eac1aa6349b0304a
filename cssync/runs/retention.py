"""How long the audit trail of writes is kept: at least 400 days, and then only as long as something rests on it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from cssync.store import Fence, Store
from cssync.writeback.outbox import FINAL

KEPT_DAYS = 400
"""A year and its renewal talks: what did we write for this customer, before last year's renewal?"""

_OLD_WRITES = f"""
DELETE FROM outbox WHERE settled_at < ? AND state IN ({",".join(f"'{state}'" for state in FINAL)}) AND EXISTS (
  SELECT 1 FROM outbox n WHERE n.connection = outbox.connection AND n.source_id = outbox.source_id
  AND n.stream = outbox.stream AND n.field = outbox.field
  AND (n.run_id, n.plan_id, n.seq) > (outbox.run_id, outbox.plan_id, outbox.seq))
"""
"""The last write to each place stays for good: comparisons and refusals rest on it."""
_OLD_PLANS = """
SELECT id FROM plan WHERE created_at < ? AND status IN ('applied', 'superseded', 'refused')
AND NOT EXISTS (SELECT 1 FROM outbox WHERE key >= plan.id || '/' AND key < plan.id || '0')
"""


def prune(store: Store, now: datetime, *, days: int = KEPT_DAYS, fence: Fence | None = None) -> dict[str, int]:
    """Forget writes that were settled more than `days` before `now` (aware) and overtaken by a later one, and plans of
    which nothing else is left. Returns what went: `writes` and `plans`."""
    before = (now.astimezone(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with store.transaction(fence) as conn:
        writes = conn.execute(_OLD_WRITES, (before,)).rowcount
        plans = json.dumps([row[0] for row in conn.execute(_OLD_PLANS, (before,))])
        conn.execute("DELETE FROM plan_change WHERE plan_id IN (SELECT value FROM json_each(?))", (plans,))
        gone = conn.execute("DELETE FROM plan WHERE id IN (SELECT value FROM json_each(?))", (plans,)).rowcount
    return {"writes": writes, "plans": gone}
