"""Why an account is judged as it is, for people and for `--json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from cssync.rules.asked import Asked
from cssync.rules.catalogue import OUTPUTS
from cssync.rules.changes import Change, told
from cssync.rules.events import number_of
from cssync.rules.explain import Explanation
from cssync.rules.texts import WORDS, shown
from cssync.rules.tree import STANDARD
from cssync.store import Store
from cssync.sync.cast import stamp
from cssync.views.terminal import line

SOURCES = """
SELECT l.connection, l.source_id, s.name, s.source_url, s.updated_at, l.method, l.confidence, l.evidence
FROM account_link l JOIN account_source s ON s.connection = l.connection AND s.source_id = l.source_id
WHERE l.account_uid = ? AND l.status = 'active' AND l.valid_to IS NULL AND s.deleted_at IS NULL
ORDER BY l.connection, l.source_id
"""
RESULTS = """
SELECT name, value, state, because, since, NULL AS until FROM result WHERE account_uid = :uid AND since <= :at
UNION ALL
SELECT name, value, state, because, since, until FROM result_history WHERE account_uid = :uid AND since <= :at
ORDER BY name, since DESC, until
"""
SIGNALS = """
SELECT pack, name, since, until, because FROM signal
WHERE account_uid = :uid AND since <= :at AND (until IS NULL OR until > :at) ORDER BY pack, name
"""
TASKS = """
SELECT pack, rule, subject_uid, title, due_on, status, priority, created_at, closed_at FROM task
WHERE account_uid = :uid AND created_at <= :at AND (closed_at IS NULL OR closed_at > :at) ORDER BY due_on, rule
"""
FEATURES = """
SELECT pack, as_of, features, states FROM feature_row f WHERE account_uid = :uid AND as_of =
(SELECT max(as_of) FROM feature_row WHERE account_uid = f.account_uid AND pack = f.pack AND as_of <= :at) ORDER BY pack
"""
SCORED = ("score", "band", "coverage", "reasons", "lost_points", "model", "computed_band", "trend", "trend_points")
"""Outputs that the headline of a pack shows."""


def explain_document(
    store: Store,
    uid: str,
    as_of: datetime,
    explanation: Explanation | None,
    changes: Iterable[Change] = (),
    only: Asked | None = None,
) -> dict[str, Any]:
    """Return what is on record about an account as of an aware instant, joined with the rules' own explanation.

    `results` hold the value in force then, since when, and `previous`: the value before it. `inputs` are the features
    of each pack then. `records` are the linked vendor records as they are now. `packs` is the explanation: how the
    rules come to the values. `changes` say why values are not what they were; `only` narrows it all to one result.
    """
    at = {"uid": uid, "at": stamp(as_of)}
    account = store.query("SELECT uid, name, domains, status, segment, touch_tier FROM account WHERE uid = ?", (uid,))[
        0
    ]
    caused = {c.name: {"told": told(c), **asdict(c)} for c in changes if only is None or c.name == only.result}
    document: dict[str, Any] = {
        "account": {**dict(account), "domains": json.loads(account["domains"] or "[]")},
        "as_of": at["at"],
        "packs": [asdict(p, dict_factory=_plain) for p in explanation.packs] if explanation else [],
        "results": [{**row, "change": caused.get(row["name"])} for row in _results(store.query(RESULTS, at), at["at"])],
        "signals": [dict(row) for row in store.query(SIGNALS, at)],
        "tasks": [dict(row) for row in store.query(TASKS, at)],
        "inputs": [
            {**dict(row), "features": json.loads(row["features"] or "{}"), "states": json.loads(row["states"] or "{}")}
            for row in store.query(FEATURES, at)
        ],
        "records": [dict(row) for row in store.query(SOURCES, (uid,))],
    }
    return document if only is None else _narrowed(document, only)


def _headline(result: Mapping[str, Any], pack: str) -> bool:
    return result["name"].partition(".")[0] == pack and result["name"].partition(".")[2] in SCORED


def _narrowed(document: Mapping[str, Any], only: Asked) -> dict[str, Any]:
    """Return the part of a document that one result rests on."""
    score = only.result.partition(".")[2] in OUTPUTS
    packs = [
        {
            **pack,
            "measures": pack["measures"] if score else (),
            "caps": pack["caps"] if score else (),
            "inputs": [i for i in pack["inputs"] if i["name"] in only.inputs],
            "signals": [] if score else pack["signals"],
        }
        for pack in document["packs"]
        if pack["pack"] == only.pack
    ]
    kept = {name: [row for row in document[name] if row["pack"] == only.pack] for name in ("signals", "tasks")}
    return {
        **document,
        **(kept if not score else {"signals": [], "tasks": []}),
        "packs": packs,
        "results": [r for r in document["results"] if r["name"] == only.result or (score and _headline(r, only.pack))],
        "inputs": [row for row in document["inputs"] if row["pack"] == only.pack],
        "field": {"result": only.result, "written_to": list(only.written_to)},
    }


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Fractions of points as numbers; four decimals, so that a text rounds them as the CRM's does."""
    return {name: round(float(value), 4) if isinstance(value, Fraction) else value for name, value in items}


def _results(rows: Iterable[Any], at: str) -> Iterator[dict[str, Any]]:
    """Yield the version of each result in force at `at`, with the value before it. Rows come newest first by name."""
    held: dict[str, dict[str, Any]] = {}
    for row in rows:
        version = {
            **dict(row),
            "value": json.loads(row["value"]) if row["value"] is not None else None,
            "previous": None,
        }
        name = version["name"]
        if name not in held and (version["until"] is None or version["until"] > at):
            held[name] = version
        elif name in held and held[name]["previous"] is None:
            held[name]["previous"] = {"value": version["value"], "since": version["since"], "until": version["until"]}
    yield from held.values()


def explain_lines(document: Mapping[str, Any], zone: ZoneInfo) -> Iterator[str]:
    """Yield a document of `explain_document` for people: each pack with its reasons, then what it all rests on.

    Instants are shown as days in `zone`.
    """
    found = _in_days(document, zone)
    account = found["account"]
    yield " · ".join((line(account["name"] or account["uid"]), account["uid"], *account["domains"][:2]))
    yield f"as of {document['as_of']}"
    if not found["results"]:
        yield "not judged: run `cssync evaluate`; or no rule pack is about this account (`accounts:` of the pack)"
    results = {r["name"]: r for r in found["results"]}
    packs = {p["pack"]: p for p in found["packs"]}
    for name in sorted({n.partition(".")[0] for n in results}, key=lambda n: (f"{n}.score" not in results, n)):
        yield ""
        yield from _pack(name, packs.get(name), {n: r for n, r in results.items() if n.startswith(f"{name}.")})
        yield from _list(
            "signal", (f"{s['name']} since {s['since']}: {s['because']}" for s in _of(found["signals"], name))
        )
        events = _several(packs.get(name))
        yield from _list("renewal", (_event(e, events) for e in events))
        yield from _list(
            "task",
            (f"{t['rule']}{_about(t, events)} due {t['due_on']}: {t['title']}" for t in _of(found["tasks"], name)),
        )
        if "field" in found and name in packs and not packs[name]["measures"]:
            yield from _list("input", (_input(i) for i in packs[name]["inputs"]))
        if name not in packs:
            yield from _list("input", _stored_inputs(_of(found["inputs"], name)))
    yield ""
    yield "records"
    for s in found["records"]:
        why = line(f"{s['method']}: {s['evidence']}" if s["evidence"] else s["method"])
        yield "  " + line(f"{s['connection']}:{s['source_id']} {s['name'] or ''} ({why}) {s['source_url'] or ''}")


def _in_days(document: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """Return the document with the instants of results and signals as days."""

    def day(row: Mapping[str, Any]) -> dict[str, Any]:
        return {**row, "since": datetime.fromisoformat(row["since"]).astimezone(zone).date().isoformat()}

    return {
        **document,
        "results": [day(r) for r in document["results"]],
        "signals": [day(s) for s in document["signals"]],
    }


def _of(rows: Iterable[Mapping[str, Any]], pack: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["pack"] == pack]


def _list(label: str, rows: Iterable[str]) -> Iterator[str]:
    yield from (f"  {label} {line(row)}" for row in rows)


def _pack(name: str, pack: Mapping[str, Any] | None, results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    score = results.get(f"{name}.score")
    if score is None:
        yield name
    else:
        band = _value(results.get(f"{name}.band", {}).get("value"))
        stale = ", stale: its source is too old" if score["state"] == "stale" else ""
        yield f"{name}: {_value(score['value'])} ({band}{stale}){_before(score)}"
        yield f"  {line(str(results.get(f'{name}.reasons', {}).get('value') or ''))}"
    if pack is not None:
        yield from _measures(pack)
    others = (r for n, r in results.items() if score is None or n.partition(".")[2] not in SCORED)
    yield from _list("result", (f"{r['name']}: {_value(r['value'])}{_before(r)}" for r in others))


def _several(pack: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The renewal events of an account that has more than one."""
    events = pack["events"] if pack is not None else ()
    return list(events) if len(events) > 1 else []


def _event(event: Mapping[str, Any], events: list[Mapping[str, Any]]) -> str:
    """A renewal event; what is the same of each of them is a result of the account."""
    own = (f"{n}: {_value(v)}" for n, v in event["results"].items() if any(e["results"][n] != v for e in events))
    number = "new" if event["number"] is None else event["number"]
    return f"{number} on {event['renews_on']} ({' '.join(event['contracts'])}): {', '.join(own)}"


def _about(task: Mapping[str, Any], events: list[Mapping[str, Any]]) -> str:
    """Which renewal a task is about, where there are several."""
    number = number_of(task["subject_uid"] or "") if events else None
    return "" if number is None else f" (renewal {number})"


def _measures(pack: Mapping[str, Any]) -> Iterator[str]:
    """Yield what makes up a score: each measure, and under it the inputs with their age and origin."""
    inputs = {i["name"]: i for i in pack["inputs"]}
    for m in pack["measures"]:
        value = f"{m['value']} of 100" if m["value"] is not None else m["state"].replace("_", " ")
        value += ", held: its source is too old" if m["state"] == "held" else ""
        lost = f", costs {m['lost']:.1f} points" if m["lost"] else ""
        yield f"  {line(m['label'] or m['name'])}: {value}, weight {m['weight']}{lost}"
        yield from (f"      {_input(inputs[n])}" for n in m["inputs"] if n in inputs)
    for cap in pack["caps"]:
        if cap["holds"]:
            verb = "held" if pack["score"] is not None else "no score now; one would be held"
            yield f"  {verb} at {cap['at_most']} at most: {line(cap['text'])}"
    yield from _beside(pack)


def _beside(pack: Mapping[str, Any]) -> Iterator[str]:
    """Yield the model, an override, and the medians behind the trend."""
    if pack["model"] not in (None, STANDARD):
        yield f"  model {pack['model']}"
    if pack["override"]:
        yield f"  {line(pack['override'])}"
    trend = pack["trend"]
    if trend is not None and trend["recent"] is not None:
        yield (
            f"  trend {trend['trend']}: median {trend['recent']:g} of {trend['recent_days']} days, "
            f"{trend['before']:g} of {trend['before_days']} days before"
        )
    elif trend is not None:
        yield f"  trend unknown: {trend['why']}"


def _input(found: Mapping[str, Any]) -> str:
    if found["state"] != "ok":
        return f"{found['name']}: {found['reason']}"
    kind = "money" if found["currency"] else ""
    held = found["value"]
    value = f"{held:.3g}" if isinstance(held, float) else shown(held, WORDS["en"], "", found["currency"] or "", kind)
    days = found["age_days"]
    age = "" if days is None else ", of today" if days == 0 else f", {days} d old"
    link = f", {found['record']}" if found["record"] else ""
    return line(f"{found['name']}: {value} (from {', '.join(found['source']) or 'the account'}{age}{link})")


def _stored_inputs(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        for name, value in row["features"].items():
            yield f"{name}: {row['states'].get(name) or _value(value)}"


def _before(result: Mapping[str, Any]) -> str:
    previous, change = result["previous"], result.get("change")
    before = f", before that {_value(previous['value'])}" if previous else ""
    return f", since {result['since']}{before}" + (f", {line(change['told'])}" if previous and change else "")


def _value(value: Any) -> str:
    """Return a stored value for people: unknown, yes and no, lists joined, floats without noise."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else line(str(value))
