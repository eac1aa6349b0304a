"""Overrides: what a person set in the CRM over the rules' judgement. Read, never written, but cleared once it ends."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from cssync.config.workspace import Workspace
from cssync.store import Store
from cssync.writeback.changes import PlannedChange

COLUMNS = ("override_band", "override_reason", "override_until")
ENDED = "override"
"""Takes the place of the result's name in the changes that clear an override."""


def ended_overrides(
    store: Store, workspace: Workspace, as_of: datetime
) -> tuple[list[PlannedChange], Counter[tuple[str, str]]]:
    """Return the changes that empty overrides whose last day (`override_until`) is past in the business time zone, and
    how many records hold one, by (connection, field). An override without an end stays until a person ends it.

    Looks at the fields that `fields:` maps to the columns of an account record, where that stream is written to.
    """
    today = as_of.astimezone(workspace.timezone).date().isoformat()
    changes: list[PlannedChange] = []
    filled: Counter[tuple[str, str]] = Counter()
    for back in workspace.writeback.values():
        connection = workspace.connections.get(back.connection)
        mapped = connection.mapped.get(back.to, {}) if connection else {}
        fields = {
            target.rpartition(".")[2]: field for field, target in mapped.items()
            if target in {f"account_source.{column}" for column in COLUMNS}
        }  # fmt: skip
        if "override_until" not in fields:
            continue
        for row in store.query(
            "SELECT r.source_id, l.account_uid, coalesce(a.name, a.uid) AS account, r.override_band, "
            "r.override_reason, r.override_until FROM account_source r JOIN account_link l "
            "ON l.connection = r.connection AND l.source_id = r.source_id AND l.status = 'active' "
            "AND l.valid_to IS NULL JOIN account a ON a.uid = l.account_uid WHERE r.connection = ? "
            "AND r.deleted_at IS NULL AND r.merged_into IS NULL AND r.override_until IS NOT NULL",
            (back.connection,),
        ):
            for column, field in sorted(fields.items()):
                if row[column] is None:
                    continue
                filled[back.connection, field] += 1
                if row["override_until"] < today:
                    because = f"the override held until {row['override_until']}"
                    changes.append(
                        PlannedChange(
                            back.connection,
                            back.to,
                            row["source_id"],
                            row["account_uid"],
                            row["account"],
                            "clear",
                            field,
                            row[column],
                            None,
                            ENDED,
                            because,
                        )
                    )
    return changes, filled
