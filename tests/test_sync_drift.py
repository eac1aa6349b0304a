"""A vendor's fields change between runs: what is in use and gone or retyped stops by name, the rest is a note."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cssync.config import Workspace
from cssync.connectors import RemoteField
from cssync.errors import Refused
from cssync.link import link
from cssync.rules.evaluate import evaluate
from cssync.rules.packs import Source, read_rules
from cssync.store import Store
from cssync.sync import StreamReport, sync
from cssync.sync.drift import accept, told
from fake_vendor import NOW, FakeSession, World, company, sessions, workspace


def field(name: str, kind: str = "text", *options: str) -> RemoteField:
    return RemoteField(name, name, kind, writable=True, options=options)


FIELDS = [
    field("renews", "date"),
    field("seats", "integer"),
    field("mau", "real"),
    field("cs_score", "integer"),
    field("hobby"),
    field("colour", "text", "red"),
]


@dataclasses.dataclass
class Vendor:
    """A vendor whose companies have these fields."""

    space: Workspace
    store: Store
    fields: Sequence[RemoteField] | Exception

    def pull(self, **options: Any) -> StreamReport:
        (report,) = [
            r for r in sync(self.store, self.space, sessions(self.space), run_id="r", full=True, **options)
            if r.stream == "companies"
        ]  # fmt: skip
        return report

    def change(self, **changed: RemoteField | None) -> None:
        assert not isinstance(self.fields, Exception)
        known = {f.name: f for f in self.fields} | changed
        self.fields = [f for f in known.values() if f is not None]


@pytest.fixture
def vendor(tmp_path: Path) -> Any:
    custom = {"renews": "2027-03-31", "seats": "50", "mau": 41, "cs_score": "82"}
    space = workspace(tmp_path, crm=World([company(1, custom=custom)]))
    with Store.open(tmp_path / "store.db") as store:
        made = Vendor(space, store, list(FIELDS))

        def describe(session: Any, stream: str) -> Sequence[RemoteField]:
            if isinstance(made.fields, Exception):
                raise made.fields
            return made.fields if stream == "companies" else ()

        crm = space.connections["crm"]
        crm = dataclasses.replace(crm, connector=dataclasses.replace(crm.connector, describe=describe))
        made.space = dataclasses.replace(space, connections={"crm": crm})
        assert made.pull().drift == ()
        yield made


def seats(store: Store) -> Any:
    return store.query("SELECT quantity FROM contract_line")[0][0]


def test_a_still_world_has_no_drift(vendor: Vendor) -> None:
    report = vendor.pull()
    assert (report.drift, report.outcome) == ((), "ok")


def test_an_unused_field_that_comes_goes_or_changes_is_a_note(vendor: Vendor) -> None:
    vendor.change(fresh=field("fresh"), hobby=None, colour=field("colour", "integer"))
    report = vendor.pull()
    assert [(d.field, d.kind, d.stops) for d in report.drift] == [
        ("fresh", "new", False),
        ("colour", "retyped", False),
        ("hobby", "removed", False),
    ]
    assert report.outcome == "ok"
    assert told(report.drift) == [
        "crm.companies: new fields: fresh",
        "crm.companies: fields that are gone: hobby",
    ]
    assert vendor.pull().drift == (), "noted once"


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (None, "field seats is gone, or cssync may not see it any more; the mapping to contract_line.quantity has"),
        (field("seats", "text"), "seats is now of type text, it was integer; the mapping to contract_line.quantity"),
    ],
    ids=["removed", "retyped"],
)  # fmt: skip
def test_a_mapped_field_that_is_gone_or_retyped_stops_its_mapping_alone(
    vendor: Vendor, now: RemoteField | None, words: str
) -> None:
    vendor.change(seats=now)
    for _ in range(2):
        report = vendor.pull()
        (drift,) = report.drift
        assert words in drift.message
        assert "--accept" in drift.fix
        assert report.outcome == "partial"
        assert seats(vendor.store) == 50, "what is stored stays"
    assert vendor.store.query("SELECT end_date FROM contract")[0][0] == "2027-03-31", "the other mapping goes on"
    vendor.change(seats=field("seats", "integer"))
    assert (vendor.pull().drift, vendor.pull().outcome) == ((), "ok")


def test_a_stopped_mapping_reads_nothing_until_the_change_is_accepted(tmp_path: Path, vendor: Vendor) -> None:
    vendor.change(seats=field("seats", "real"))
    world = World([company(1, custom={"renews": "2028-03-31", "seats": "70", "mau": 41})])
    space = workspace(tmp_path, crm=world)
    streams = space.connections["crm"].streams
    crm = dataclasses.replace(vendor.space.connections["crm"], streams=streams)
    vendor.space = dataclasses.replace(vendor.space, connections={"crm": crm})
    vendor.pull()
    assert seats(vendor.store) == 50
    assert vendor.store.query("SELECT end_date FROM contract")[0][0] == "2028-03-31"
    assert not isinstance(vendor.fields, Exception)
    accept(vendor.store, "crm", "companies", vendor.fields, FakeSession(at=NOW), None)
    assert (vendor.pull().drift, seats(vendor.store)) == ((), 70)


def test_a_written_field_that_is_gone_is_named_too(vendor: Vendor) -> None:
    vendor.change(cs_score=None)
    report = vendor.pull()
    assert "the write-back of health.score has stopped" in report.drift[0].message
    assert report.outcome == "partial"


def test_options_of_a_field_in_use_are_noted_and_stop_nothing(vendor: Vendor) -> None:
    vendor.change(mau=field("mau", "real", "low", "high"))
    report = vendor.pull()
    assert [(d.kind, d.stops, d.after) for d in report.drift] == [("options", False, "high, low")]
    assert report.outcome == "ok"
    assert vendor.pull().drift == ()


def test_a_vendor_that_cannot_describe_its_fields_is_pulled_all_the_same(vendor: Vendor) -> None:
    vendor.fields = Refused("crm: 403")
    report = vendor.pull()
    assert (report.drift, report.outcome, report.read) == ((), "ok", 1)
    vendor.fields = []
    assert vendor.pull().drift == (), "no field at all is no answer"


def test_looking_only_stores_no_definition(vendor: Vendor) -> None:
    vendor.change(seats=None)
    assert vendor.pull(keep=False).drift == ()
    assert vendor.store.query("SELECT count(*) FROM field_definition WHERE name = 'seats'")[0][0] == 1


def test_the_rules_that_read_a_stopped_column_are_named(vendor: Vendor) -> None:
    (vendor.space.path.parent / "own").mkdir()
    (vendor.space.path.parent / "own" / "p.yaml").write_text(PACK, encoding="utf-8")
    vendor.space = dataclasses.replace(vendor.space, rules=(vendor.space.path.parent / "own",))
    vendor.change(seats=None, renews=field("renews", "text"), mau=field("mau", "text"))
    found = {d.field: d for d in vendor.pull().drift}
    assert found["seats"].rules == ("own.big", "own.both", "own.wide")
    assert found["renews"].rules == ("own.big", "own.both", "own.late"), "seats end with the contract of their line"
    assert found["mau"].rules == ("own.idle",)
    assert "keeps its stored values, on which rest: own.big, own.both, own.wide" in found["seats"].message
    assert found["seats"].as_dict()["rules"] == ("own.big", "own.both", "own.wide")


PACK = """
pack: own
version: 1
features:
  chairs: {sum: lines.quantity}
  twice: chairs * 2
  named: {count: contracts, where: name = 'x'}
  daily: {last: usage.mau}
results:
  wide: {value: twice > 10}
  big: {value: seats > 10}
  late: {value: days_since(term_end) > 3}
  both: {value: seats > 10 and days_until(renews_on) < 90}
  idle: {value: daily < 2}
  other: {value: named > 1}
"""


def test_a_score_on_a_field_that_stopped_says_that_it_is_partial_until_the_field_is_back(vendor: Vendor) -> None:
    rules = read_rules([Source("own.yaml", SCORE)])

    def judged(day: int) -> tuple[Any, str]:
        at = NOW + timedelta(hours=day)
        link(vendor.store, vendor.space, at)
        evaluate(vendor.store, rules, vendor.space, at, run_id=f"r{day}")
        names = ("own.data_status", "own.reasons", "own.score")
        found = [json.loads(vendor.store.query("SELECT value FROM result WHERE name = ?", (n,))[0][0]) for n in names]
        assert found[2] == 50
        return found[0], found[1]

    assert judged(0)[0] == "ok"
    vendor.change(hobby=None, seats=field("seats", "text"))
    vendor.pull()
    status, why = judged(1)
    assert (status, "Old values, a field was changed or removed in its source: size." in why) == ("partial", True)
    vendor.pull()
    assert judged(2) == (status, why)
    vendor.change(seats=field("seats", "integer"), mau=None)
    vendor.pull()
    status, why = judged(3)
    assert (status, "Old values" in why) == ("ok", False), "no measure reads mau"


SCORE = """
pack: own
version: 1
features:
  chairs: {sum: lines.quantity}
score:
  bands: {red: 0, yellow: 40, green: 75}
  measures: {size: {weight: 1, curve: {of: chairs, at: {0: 0, 100: 100}}}}
"""
