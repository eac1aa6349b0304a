"""Opportunities of ours: made in one stage, known by an external id field or a marker in their description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from cssync.connectors import OwnField, RemoteTask, Session, TaskContent
from cssync.errors import ConnectionFault
from cssync_salesforce import soql
from cssync_salesforce.settings import SalesforceSettings
from cssync_salesforce.shape import Shape, described
from cssync_salesforce.tasks import CHUNK, marked, markers, query

OPPORTUNITY_KEY = OwnField(
    "CS_Opportunity_Key__c",
    "cssync opportunity key",
    "text",
    description="Written by cssync: identity of an opportunity it created.",
)
"""External id field of Opportunity: an upsert on it is the one create that may be repeated."""
NAME_LENGTH = 120
TYPE_WORDS = {"renewal": ("renew", "更新"), "upsell": ("upgrade", "upsell", "up-sell", "アップ")}
"""Words by which the org's own opportunity types are told."""


class Pipeline:
    """What an org says of its opportunities, read once a push and only when needed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.shape: Shape = described(session, "Opportunity")
        self._stages: dict[str | None, str] = {}

    @property
    def keyed(self) -> bool:
        """Whether Opportunity has our key field as an external id that this user sees."""
        field = self.shape.fields.get(OPPORTUNITY_KEY.name, {})
        return bool(field.get("externalId") or field.get("idLookup"))

    def stage(self, wanted: str | None) -> str:
        """Return the stage in which ours begin: the wanted one, else the first open one.

        Raises:
            ConnectionFault: the org has none.
        """
        found = self._stages.get(wanted)
        if found is None:
            found = self._stages[wanted] = self._stage(wanted)
        return found

    def _stage(self, wanted: str | None) -> str:
        settings: SalesforceSettings = self._session.settings
        shown = [str(o["value"]) for o in self.shape.options("StageName")]
        if wanted is not None:
            if wanted in shown:
                return wanted
            raise _no_stage(f"the org has no opportunity stage {wanted!r}")
        answer = self._session.get(
            f"{settings.data}/query",
            accept=(400, 403, 404),
            q=soql.select(["ApiName", "MasterLabel"], "OpportunityStage", ["IsActive = true", "IsClosed = false"],
                          ["SortOrder"]),
        )  # fmt: skip
        records = answer.json().get("records", ()) if answer.status < 400 else ()
        names = [str(r.get("ApiName") or r.get("MasterLabel")) for r in records]
        for name in names or shown:
            if name in shown:
                return name
        raise _no_stage("the org shows the execution user no open opportunity stage")

    def type(self, kind: str) -> str | None:
        """Return the org's own word for a renewal or an upsell; None to leave it empty."""
        values = [str(o["value"]) for o in self.shape.options("Type")]
        words = TYPE_WORDS.get(kind, ())
        return next((v for v in values if any(word in v.casefold() for word in words)), None)

    def new(self, task: TaskContent) -> dict[str, Any]:
        """Return an opportunity to create."""
        owner, kind = soql.id18(task.owner_source_id), self.type(task.kind)
        multi = task.currency is not None and self.shape.field("CurrencyIsoCode") is not None
        return {
            "attributes": {"type": "Opportunity"},
            **({OPPORTUNITY_KEY.name: task.key} if self.keyed else {}),
            "AccountId": soql.id18(task.account_source_id),
            "StageName": self.stage(task.stage),
            **edited(task),
            "Description": task.body[:31_000] if self.keyed else marked(task.body[:31_000], task.key),
            **({"Type": kind} if kind else {}),
            **({"OwnerId": owner} if owner else {}),
            **({"CurrencyIsoCode": task.currency} if multi else {}),
        }


def edited(task: TaskContent) -> dict[str, Any]:
    """Return what of an opportunity follows the rules while it stands as we made it."""
    amount = {"Amount": float(Decimal(task.amount))} if task.amount is not None else {}
    return {"Name": task.subject[:NAME_LENGTH], "CloseDate": task.due_on, **amount}


def find_opportunities(session: Session, wanted: Sequence[TaskContent]) -> dict[str, RemoteTask]:
    """Return those of the wanted opportunities that Salesforce holds, by key; `done` once somebody moved or closed
    one."""
    pipeline = Pipeline(session)
    by_key = pipeline.keyed
    contents = {t.key: t for t in wanted}
    texts = sorted({t.key if by_key else t.account_source_id for t in wanted})
    column, held = ("AccountId", "Description") if not by_key else (OPPORTUNITY_KEY.name, OPPORTUNITY_KEY.name)
    fields = ["Id", "Name", "StageName", "IsClosed", "CloseDate", "Amount", held]
    by_id = {soql.id18(t.remote_id): t.key for t in wanted}
    found: dict[str, RemoteTask] = {}

    def look(column: str, values: Sequence[str]) -> None:
        for start in range(0, len(values), CHUNK):
            condition = f"{column} IN {soql.among(values[start : start + CHUNK])}"
            for record in query(session, soql.select(fields, "Opportunity", [condition], ["Id"])):
                known = by_id.get(soql.id18(record["Id"]))
                said = [str(record[held])] if by_key else markers(record.get("Description"))
                for key in [known] if known else said:
                    if key in contents:
                        found.setdefault(key, _remote(pipeline, contents[key], record))

    look(column, texts)
    look("Id", sorted(one for one, key in by_id.items() if one and key not in found))
    return found


def _remote(pipeline: Pipeline, content: TaskContent, record: Mapping[str, Any]) -> RemoteTask:
    try:
        untouched = not record.get("IsClosed") and record.get("StageName") == pipeline.stage(content.stage)
    except ConnectionFault:
        untouched = False  # the stage is gone from the pipeline: whatever this is in, a person decided it
    amount = record.get("Amount")
    return RemoteTask(
        content.key,
        soql.id18(record["Id"]) or "",
        "open" if untouched else "done",
        str(record.get("Name") or ""),
        record.get("CloseDate"),
        None if amount is None else str(amount),
    )


def _no_stage(what: str) -> ConnectionFault:
    return ConnectionFault(
        what, kept="no opportunity was created", fix="set `opportunity_stage` to one of Setup > Opportunity Stages"
    )
