"""An account as it was explained on a day of the past: the same view, over a private copy of what was known then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cssync.config import Workspace
from cssync.rules.explain import Explanation, explain
from cssync.rules.replay import Moment, part_of, rules_then, then, usage_then
from cssync.rules.tree import RuleSet

if TYPE_CHECKING:
    from cssync.store.sqlite import Store


def explain_past(
    store: Store, rules: RuleSet, workspace: Workspace, account_uid: str, moment: Moment
) -> Explanation | None:
    """Explain an account as of a moment, after its evaluation; None when the account was not known then.

    rules: the present ones, for moments of which no evaluation is on record.
    """
    used, _ = rules_then(store, moment, rules)
    with then(store, moment, after=True, part=part_of(store, used, account_uid)) as copy:
        if not copy.query("SELECT 1 FROM account WHERE uid = ?", (account_uid,)):
            return None
        usage = usage_then(store, copy, workspace, moment)
        return explain(copy, used, workspace, account_uid, moment.as_of, usage)
