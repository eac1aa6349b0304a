"""cssync.yaml as an admin writes it: shape and meaning of every key. docs/configuration.md is generated from here."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

from cssync.config.workspace import OPPORTUNITIES, Policy

NAME = re.compile(r"[a-z0-9_-]{1,64}")
_DEVICES = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("must be 1 to 64 of a-z, 0-9, _ and -")
    if _DEVICES.fullmatch(text):
        raise ValueError("is a device name on Windows; choose another")
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone; write an IANA name such as Asia/Tokyo") from None
    return text


def _currency(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", text):
        raise ValueError("must be an ISO 4217 code of three capitals such as JPY")
    return text


def _closure(text: str) -> str:
    try:
        date.fromisoformat(f"2000-{text}" if re.fullmatch(r"\d\d-\d\d", text) else text)
    except ValueError:
        raise ValueError("must be a day: MM-DD for every year, or YYYY-MM-DD") from None
    return text


def _country(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", text):
        raise ValueError("must be a country code such as JP, or country and region such as US-CA")
    import holidays

    country, _, region = text.partition("-")
    try:
        holidays.country_holidays(country, subdiv=region or None)
    except NotImplementedError:
        raise ValueError(
            "is a country or region without known public holidays; list your days under `closures`"
        ) from None
    return text


def percentage(text: str) -> Decimal | None:
    """Return `20%` as 0.20; None when the text is no percentage of 0 to 100."""
    if not text.endswith("%"):
        return None
    try:
        share = Decimal(text[:-1].strip()) / 100
    except InvalidOperation:
        return None
    return share if 0 <= share <= 1 else None


def _share(text: Any) -> Decimal:
    share = percentage(str(text))
    if not share:
        raise ValueError("must be a percentage above 0% and up to 100%, such as 50%")
    return share


def _brake(text: Any) -> Decimal | int:
    share = percentage(str(text))
    if share is not None:
        return share
    if re.fullmatch(r"[0-9]{1,9}", str(text)):
        return int(text)
    raise ValueError("must be a percentage such as 20%, or a whole number of records")


def _chance(text: Any) -> Decimal:
    share = percentage(str(text))
    if share is None:
        raise ValueError("must be a percentage of 0% to 100%, such as 80%")
    return share


def _policies(given: Any) -> Any:
    return {EVERY_FIELD: given} if isinstance(given, str) else given


def _all_or_some(given: Any) -> Any:
    if isinstance(given, (str, bool)):
        return {"true": OPPORTUNITIES, "false": ()}.get(str(given).lower(), (given,))
    return given


EVERY_FIELD = ""
"""Key of the policy that holds for every field without its own."""
Name = Annotated[str, AfterValidator(_name)]


class Raw(BaseModel):
    """Common behaviour: unknown keys are faults, and no message repeats what was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class RawWriteback(Raw):
    """One entry of `writeback:`."""

    to: Annotated[str, Field(description="Stream whose records are written, e.g. `companies`; it must be writable.")]
    fields: Annotated[
        dict[str, str], Field(description="Vendor field -> result that fills it, e.g. `cs_health_score: health.score`.")
    ] = {}
    tasks: Annotated[bool, Field(description="Create, update and close tasks in the CRM.")] = False
    task_owner: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Who gets tasks whose owner is unknown, inactive or absent in this CRM, and has no manager "
            "there: an e-mail address or the CRM's user id. Without it such tasks belong to nobody; the plan lists "
            "them either way.",
        ),
    ] = None
    opportunities: Annotated[
        Annotated[tuple[Literal["renewal", "upsell"], ...], BeforeValidator(_all_or_some)],
        Field(
            description="Make opportunities (deals) for renewals that are due and accounts with room to grow: `true`, "
            "or a list of `renewal` and `upsell`. One is made once, where the account has no open one of its type, and "
            "is a person's from the moment somebody moves, edits or closes it."
        ),
    ] = ()
    opportunity_stage: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Stage in which they begin, as the CRM names it (HubSpot: id or label of the stage). Without "
            "it the first open stage of the CRM's first pipeline.",
        ),
    ] = None
    policy: Annotated[
        Annotated[dict[str, Policy], BeforeValidator(_policies)],
        Field(
            description="Who wins where a person edited a field that cssync wrote: `unless-edited` keeps the person's "
            "value, `ours` overwrites it, `theirs` never writes over any value that is not cssync's own. One word for "
            "all fields, or vendor field -> word."
        ),
    ] = {EVERY_FIELD: "unless-edited"}


class RawLimits(Raw):
    """`limits:`."""

    changes: Annotated[
        Annotated[Decimal | int, PlainValidator(_brake)],
        Field(
            description="Brake of the write-back: a plan that would change more than this share of a field's records "
            "(`20%`) is held for approval. Written as a number (`200`): more than so many records, whatever the share."
        ),
    ] = Decimal("0.20")
    changes_count: Annotated[
        int, Field(ge=0, description="Beside a percentage: the number of records that holds a plan, too.")
    ] = 500
    share: Annotated[
        Annotated[Decimal, BeforeValidator(_share)],
        Field(
            description="Share of the vendor's daily API allowance that cssync may use; the rest is left for people."
        ),
    ] = Decimal("0.50")
    max_new_tasks_per_owner_per_run: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="New tasks that one person gets at once, and on one business day whatever the number of runs; "
            "the rest comes as one list, by ARR at risk.",
        ),
    ] = 10

    @model_validator(mode="after")
    def _one_number(self) -> RawLimits:
        if isinstance(self.changes, int) and "changes_count" in self.model_fields_set:
            raise ValueError("has the number of records twice: in `changes` and in `changes_count`")
        return self


Chance = Annotated[Decimal, BeforeValidator(_chance)]


class RawChances(Raw):
    """Chance that an undecided renewal comes, by health band; with notice it is 0."""

    green: Annotated[Chance | None, Field(description="Band green.")] = None
    yellow: Annotated[Chance | None, Field(description="Band yellow.")] = None
    red: Annotated[Chance | None, Field(description="Band red.")] = None
    unknown: Annotated[Chance | None, Field(description="No band, or an unknown one.")] = None
    lapsed: Annotated[
        Chance | None, Field(description="Past its renewal date, within 30 days of grace, whatever the band.")
    ] = None


class RawMetrics(Raw):
    """`metrics:`. Defaults stand in the standard rule set's file `metrics/defaults.yaml`, of the same form."""

    reactivation: Annotated[
        Literal["point_to_point", "new"] | None,
        Field(
            description="A customer that left in the period and is back by its end: counts by its ARR at both ends, or "
            "as churned and then new."
        ),
    ] = None
    logos: Annotated[
        Literal["account", "ultimate_parent"] | None,
        Field(description="What is one customer in NRR, GRR and logo churn: each account, or a whole group."),
    ] = None
    exclude_contracted_steps: Annotated[
        bool | None, Field(description="Price steps agreed before the period are no expansion.")
    ] = None
    small_cohort: Annotated[int | None, Field(ge=1, description="A cohort of fewer accounts is flagged `small_n`.")] = (
        None
    )
    gross_margin: Annotated[
        Chance | None, Field(description="Gross margin of recurring revenue, e.g. `80%`; without it there is no LTV.")
    ] = None
    max_lifetime_months: Annotated[int | None, Field(ge=1, description="Longest lifetime that LTV assumes.")] = None
    min_responses: Annotated[int | None, Field(ge=1, description="Fewer answers make CSAT and NPS unknown.")] = None
    nps_days: Annotated[int | None, Field(ge=1, description="Days back for which an NPS answer counts.")] = None
    value_metric: Annotated[
        str | None, Field(min_length=1, description="Usage metric whose first value above 0 is the first value.")
    ] = None
    value_days: Annotated[
        int | None, Field(ge=1, description="Days within which a customer shall have reached first value.")
    ] = None
    chances: Annotated[
        RawChances, Field(description="Chance that a renewal comes; see *Chances of renewal* below.")
    ] = RawChances()


class RawWorkspace(Raw):
    """cssync.yaml."""

    workspace: Annotated[
        Name, Field(description="Name of the workspace: 1 to 64 of a-z, 0-9, _ and -. The store is bound to it.")
    ]
    timezone: Annotated[
        str, AfterValidator(_zone), Field(description="Business time zone (IANA name): when a day begins and ends.")
    ]
    currency: Annotated[str, AfterValidator(_currency), Field(description="Reporting currency (ISO 4217).")]
    store: Annotated[str, Field(description="SQLite file of the store, relative to this file.")] = "cssync.db"
    connections: Annotated[
        dict[Name, dict[str, Any]],
        Field(min_length=1, description="Name -> connector and its settings; see *Connections* below."),
    ]
    fields: Annotated[
        dict[str, dict[str, str]],
        Field(
            description="`connection.stream` -> {vendor field: target}: your own fields; see *Mapping targets* below."
        ),
    ] = {}
    masters: Annotated[
        dict[str, str],
        Field(description="`entity` or `entity.column` -> connection whose value wins where two systems disagree."),
    ] = {}
    rules: Annotated[
        tuple[str, ...],
        Field(description="Rule packs: names of installed sets (`cssync plugins` lists them) and folders (`./rules`)."),
    ] = ("standard",)
    writeback: Annotated[
        dict[str, RawWriteback],
        Field(description="Connection -> what is written back over it; see *Write-back* below."),
    ] = {}
    limits: Annotated[RawLimits, Field(description="Brakes; see *Limits* below.")] = RawLimits()
    fiscal_year_start: Annotated[int, Field(ge=1, le=12, description="Month in which the fiscal year begins.")] = 1
    holidays: Annotated[
        Annotated[str, AfterValidator(_country)] | None,
        Field(description="Country whose public holidays are no business days, e.g. `JP` or `US-CA`."),
    ] = None
    closures: Annotated[
        tuple[Annotated[str, AfterValidator(_closure)], ...],
        Field(description="Own closing days beside them: `MM-DD` for every year, or `YYYY-MM-DD`."),
    ] = ()
    locale: Annotated[Literal["en", "ja"], Field(description="Language of the texts that rules write.")] = "en"
    fx: Annotated[
        str | None,
        Field(
            min_length=1,
            description="CSV file of dated exchange rates (`date,from,to,rate`), relative to this file; without it "
            "money of other currencies is not converted. See docs/metrics.md.",
        ),
    ] = None
    metrics: Annotated[
        RawMetrics, Field(description="Options of the key figures (`cssync kpi`); see *Metrics* below.")
    ] = RawMetrics()
