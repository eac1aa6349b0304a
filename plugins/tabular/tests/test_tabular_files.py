"""Files: everything that is in one is stored or listed, and nothing is made up."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cssync.config.load import load_workspace
from cssync.errors import ConfigError, TransientFault
from cssync_tabular.files import opened
from cssync_tabular.rows import Source
from cssync_tabular.settings import Table

HEADER = "id,name,staff\n"


def test_a_file_is_pulled_and_a_second_pull_changes_nothing(bench: Any, customers: Any) -> None:
    customers()
    bench.write("customers.csv", HEADER + "00123,Acme,5\n12E5,Umlaut GmbH,\n9007199254740993,株式会社,70\n")
    assert bench.pull().new == 3
    assert bench.live("source_id, name, employee_count") == [
        ("00123", "Acme", 5), ("12E5", "Umlaut GmbH", None), ("9007199254740993", "株式会社", 70),
    ]  # fmt: skip
    again = bench.pull()
    assert (again.read, again.same, again.tombstoned) == (3, 3, 0)


@pytest.mark.parametrize(
    ("raw", "more"),
    [
        ("\ufeffid,name,staff\n1,Müller,5\n".encode(), ""),
        ("id,name,staff\n1,Müller,5\n".encode("utf-16"), ""),
        ("id,name,staff\r\n1,Müller,5\r\n".encode("cp1252"), "encoding: cp1252"),
        ("id;name;staff\n1;Müller;5\n".encode(), "delimiter: ';'"),
        ("id\tname\tstaff\n1\tMüller\t5\n".encode(), "delimiter: tab"),
        ('"id", name ,"staff"\n"1","Müller","5"'.encode(), ""),
    ],
    ids=["bom", "utf-16", "cp1252", "semicolon", "tab", "quoted"],
)
def test_encodings_marks_and_delimiters(bench: Any, customers: Any, raw: bytes, more: str) -> None:
    customers(more=more)
    raw = raw.replace(b'"id", name ,', b'"id",name ,')
    bench.write("customers.csv", raw)
    bench.pull()
    assert bench.live("source_id, name, employee_count") == [("1", "Müller", 5)]


def test_quotes_hold_delimiters_line_ends_and_quotes(bench: Any, customers: Any) -> None:
    customers()
    bench.write("customers.csv", HEADER + '1,"Acme, Inc. ""North""\nsecond line",5\n')
    bench.pull()
    assert bench.live("name") == [('Acme, Inc. "North"\nsecond line',)]


def test_a_stray_quote_costs_its_own_line_only(bench: Any, customers: Any) -> None:
    customers()
    lines = ["1,Acme,5", '2,"Torn,6', "3,Fine,7", '4,"Quoted, well",8', '5,"Torn too', "6,Last,9"]
    bench.write("customers.csv", HEADER + "\n".join(lines) + "\n")
    report = bench.pull()
    assert [row[0] for row in bench.live("source_id")] == ["1", "3", "4", "6"]
    assert report.quarantined == 2
    reasons = sorted(bench.quarantined().values())
    assert [reason.partition(":")[0] for reason in reasons] == ["line 3", "line 6"]


def test_bad_rows_are_listed_with_what_was_read_and_leave_when_mended(bench: Any, customers: Any) -> None:
    customers()
    good = "".join(f"{n},C{n},1\n" for n in range(4))
    bench.write("customers.csv", HEADER.encode() + good.encode() + b'7,Short\n8,Caf\xe9,3\n9,Nine,"5,0"\n,No id,4\n')
    report = bench.pull()
    assert (report.new, report.quarantined, report.outcome) == (4, 4, "partial")
    reasons = " | ".join(bench.quarantined().values())
    for words in ("line 6: 2 cells, the header has 3", "bytes that are not utf-8", "not a number", "key id: is empty"):
        assert words in reasons
    raw = [json.loads(r["raw"]) for r in bench.store.query("SELECT raw FROM quarantine")]
    assert any(r.get("text") == "7,Short\n" for r in raw)
    bench.write("customers.csv", HEADER + good + "7,Short,2\n8,Café,3\n9,Nine,5\n10,Id,4\n")
    assert bench.pull().new == 4
    assert bench.quarantined() == {}


def test_a_row_that_cannot_be_read_is_not_taken_for_a_deleted_one(bench: Any, customers: Any) -> None:
    customers()
    bench.write("customers.csv", HEADER + "1,Acme,5\n2,Bravo,6\n")
    bench.pull()
    bench.write("customers.csv", HEADER + "1,Acme,5\n2,Bravo\n")
    assert bench.pull().tombstoned == 0
    assert len(bench.live("source_id")) == 2


def test_what_is_no_longer_listed_is_deleted_and_comes_back(bench: Any, customers: Any) -> None:
    customers()
    bench.write("customers.csv", HEADER + "1,Acme,5\n2/7,Bravo,6\n3,Cello,7\n")
    bench.pull()
    bench.write("customers.csv", HEADER + "1,Acme,5\n3,Cello,7\n")
    assert bench.pull().tombstoned == 1
    assert bench.live("source_id") == [("1",), ("3",)]
    bench.write("customers.csv", HEADER + "1,Acme,5\n2/7,Bravo,6\n3,Cello,7\n")
    assert bench.pull().changed == 1
    assert bench.live("source_id") == [("1",), ("2/7",), ("3",)]


def test_half_the_accounts_missing_is_a_fault_and_not_the_truth(bench: Any, customers: Any) -> None:
    customers()
    bench.write("customers.csv", HEADER + "".join(f"{n},C{n},1\n" for n in range(40)))
    bench.pull()
    bench.write("customers.csv", HEADER + "".join(f"{n},C{n},1\n" for n in range(20)))
    report = bench.pull()
    assert report.error
    assert len(bench.live("source_id")) == 40


FAULTS: dict[str, tuple[bytes, str]] = {
    "no byte": (b"", "empty: not even a header"),
    "only a header": (HEADER.encode(), "there is no row in it"),
    "a renamed column": (b"id,title,staff\n1,Acme,5\n", "has no column 'name'"),
    "a column twice": (b"id,name,staff,name\n1,Acme,5,x\n", "column 'name' is there twice"),
    "another delimiter": (b"id;name;staff\n1;Acme;5\n", "has no column 'id'"),
    "a web page": (b"<!doctype html>\n<html>sign in</html>\n", "has no column 'id'"),
    "binary": (bytes(range(128, 256)) * 10, "the first line is no header"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_an_error_is_never_no_records(bench: Any, customers: Any, case: str) -> None:
    customers()
    bench.write("customers.csv", HEADER + "1,Acme,5\n")
    bench.pull()
    raw, words = FAULTS[case]
    bench.write("customers.csv", raw)
    report = bench.pull()
    assert report.outcome == "failed"
    assert report.error
    assert words in report.error.message
    assert report.error.fix
    assert bench.live("source_id") == [("1",)]


def test_no_rows_are_an_answer_where_the_table_says_so(bench: Any, customers: Any) -> None:
    customers(more="may_be_empty: true")
    bench.write("customers.csv", HEADER + "1,Acme,5\n")
    bench.pull()
    bench.write("customers.csv", HEADER)
    assert bench.pull().tombstoned == 1


@pytest.mark.parametrize("size", [1_000, 2])
def test_rows_that_share_an_id_are_told_and_the_last_one_counts(
    bench: Any, customers: Any, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    customers()
    bench.text = bench.text.replace("tabular", f"tabular\n    page_size: {size}", 1)
    bench.write("customers.csv", HEADER + "7,First,1\n1,Acme,5\n7,Second,2\n8,Other,6\n7,Last,3\n")
    for _ in range(2):
        caplog.clear()
        assert bench.pull().read == 5
        assert bench.live("name") == [("Acme",), ("Last",), ("Other",)]
        assert "product.customers: 2 rows have an id that another row of the table has" in caplog.text
    caplog.clear()
    bench.write("customers.csv", HEADER + "7,Last,3\n1,Acme,5\n8,Other,6\n")
    bench.pull()
    assert "rows have an id" not in caplog.text


def test_a_wrong_delimiter_is_told_with_its_remedy(bench: Any, customers: Any) -> None:
    customers()
    bench.write("customers.csv", b"id;name;staff\n1;Acme;5\n")
    error = bench.pull().error
    assert error
    assert "delimiter: ';'" in error.fix
    assert {f.fix for f in bench.check() if f.level == "error"} == {error.fix}


def test_files_stay_below_their_folder(bench: Any, tmp_path: Path, customers: Any) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    secret = bench.write("secret.csv", HEADER + "1,Secret,5\n")
    (exports / "inside.csv").write_text(HEADER + "1,Acme,5\n")
    (exports / "latest.csv").symlink_to("inside.csv")
    (exports / "out.csv").symlink_to(secret)
    (exports / "up").symlink_to(tmp_path)
    (exports / "folder.csv").mkdir()
    mapped = "fields:\n  product.customers: {name: account.name}\n"
    table = "{customers: {file: %s, entity: account, key: id}}"
    place = f"connections:\n  product: {{connector: tabular, folder: exports, tables: {table}}}\n"
    for name, fine in {
        "latest.csv": True, "out.csv": False, "../secret.csv": False, "up/secret.csv": False,
        str(secret): False, "folder.csv": False, "gone.csv": False,
    }.items():  # fmt: skip
        report = bench.config(place % name + mapped).pull()
        assert (report.error is None) == fine, name
    assert bench.live("name") == [("Acme",)]


def test_a_file_that_changes_under_the_reader_deletes_nothing(bench: Any, tmp_path: Path) -> None:
    path = bench.write("customers.csv", HEADER + "1,Acme,5\n")
    table = Table(file="customers.csv", entity="account", key="id")

    def read() -> None:
        with opened(tmp_path, table, (), 10) as source:
            list(source.items)
            with path.open("a") as file:
                file.write("2,Late,1\n")

    with pytest.raises(TransientFault, match="changed while it was read"):
        read()


# --- JSON Lines -------------------------------------------------------------------------------------------------------


def test_json_lines_keep_absent_apart_from_null(bench: Any, customers: Any) -> None:
    customers(file="customers.jsonl", mapped="firm.site: account.domains")
    lines = [{"id": 1, "name": "Acme", "staff": 5, "firm": {"site": "https://ACME.example/en"}}, {"id": 2, "staff": 7}]
    bench.write("customers.jsonl", "\ufeff" + "\n".join(map(json.dumps, lines)))
    bench.pull()
    assert bench.live("source_id, name, employee_count, domains") == [
        ("1", "Acme", 5, '["acme.example"]'), ("2", None, 7, None),
    ]  # fmt: skip
    lines = [{"id": 1, "staff": None, "firm": {"site": "acme.example"}}, {"id": 2, "name": "Bravo"}]
    bench.write("customers.jsonl", "\n\n".join(map(json.dumps, lines)))
    bench.pull()
    assert bench.live("name, employee_count") == [("Acme", None), ("Bravo", 7)]


def test_json_lines_that_are_none_are_quarantined(bench: Any, customers: Any) -> None:
    customers(file="customers.jsonl")
    good = '{"id": 9007199254740993, "name": "Acme", "staff": 5.0}\n'
    odd = b'{"id": 123456789012345678901234567890, "name": "Big", "staff": 123456789012345678901234567890}\n'
    torn = b'{"id": 2, "name\n[1]\n\xff\n' + b"[" * 5000 + b"\n" + b'{"id": 3, "name": "\\ud800", "staff": 1}\n'
    bench.write("customers.jsonl", good.encode() + odd + torn)
    report = bench.pull()
    assert (report.new, report.quarantined) == (1, 6)
    assert "not a whole number" in bench.quarantined()["123456789012345678901234567890"]
    assert bench.live("source_id, employee_count") == [("9007199254740993", 5)]


def test_a_column_that_no_json_line_has_is_a_fault(bench: Any, customers: Any) -> None:
    customers(file="customers.jsonl")
    bench.write("customers.jsonl", '{"id": 1, "title": "Acme", "staff": 5}\n')
    error = bench.pull().error
    assert error
    assert "has no column 'name'" in error.message


# --- Parquet ----------------------------------------------------------------------------------------------------------


def test_parquet_keeps_decimals_times_and_ids(bench: Any) -> None:
    bench.config("""connections:
  product:
    connector: tabular
    timezone: Asia/Tokyo
    page_size: 2
    tables:
      deals: {file: deals.parquet, entity: opportunity, key: id}
fields:
  product.deals: {amount: opportunity.amount, cur: opportunity.currency, closes: opportunity.close_date,
                  changed: opportunity.updated_at, made: opportunity.created_at}
""")
    made = datetime(2026, 11, 1, 23, 30, tzinfo=UTC).replace(tzinfo=None)
    table = pa.table({
        "id": pa.array([1, 2, 9007199254740993]),
        "amount": pa.array([Decimal("19.99"), None, Decimal("1000000.01")], pa.decimal128(12, 2)),
        "cur": ["USD", "USD", "USD"],
        "closes": [date(2026, 12, 1)] * 3,
        "changed": pa.array([datetime(2026, 11, 1, 10, tzinfo=UTC)] * 3, pa.timestamp("ns", "UTC")),
        "made": pa.array([made] * 3, pa.timestamp("ns")),
        "unused": [b"\x00\xff"] * 3,
    })  # fmt: skip
    pq.write_table(table, bench.folder / "deals.parquet", row_group_size=2)
    assert bench.pull().new == 3
    assert bench.live("source_id, amount, close_date, updated_at, created_at", "opportunity") == [
        ("1", 1999, "2026-12-01", "2026-11-01T10:00:00Z", "2026-11-01T14:30:00Z"),
        ("2", None, "2026-12-01", "2026-11-01T10:00:00Z", "2026-11-01T14:30:00Z"),
        ("9007199254740993", 100000001, "2026-12-01", "2026-11-01T10:00:00Z", "2026-11-01T14:30:00Z"),
    ]


def test_a_cut_parquet_file_is_a_fault(bench: Any, customers: Any) -> None:
    customers(file="c.parquet")
    pq.write_table(pa.table({"id": ["1"], "name": ["Acme"], "staff": [5]}), bench.folder / "c.parquet")
    bench.pull()
    bench.write("c.parquet", (bench.folder / "c.parquet").read_bytes()[:200])
    error = bench.pull().error
    assert error
    assert "cannot be read as Parquet" in error.message
    assert len(bench.live("source_id")) == 1


# --- what rows mean ---------------------------------------------------------------------------------------------------

USAGE = """connections:
  product:
    connector: tabular
    page_size: 3
    tables:
      usage: {file: usage.csv, entity: usage_metric, key: [customer, day]}
fields:
  product.usage: {customer: usage_metric.account_source_id, day: usage_metric.period_start,
                  logins: usage_metric.logins, seats: usage_metric.active_users}
"""


def test_a_wide_row_becomes_a_value_for_each_metric_and_goes_with_all_of_them(bench: Any) -> None:
    bench.config(USAGE)
    rows = [f"c{n},2026-11-0{n},{n},{n * 10}" for n in range(1, 8)]
    bench.write("usage.csv", "customer,day,logins,seats\n" + "\n".join(rows))
    assert bench.pull().new == 7
    values = bench.live("source_id, account_source_id, metric, value, grain, period_start", "usage_metric")
    assert len(values) == 14
    assert values[0] == ("c1|2026-11-01/active_users", "c1", "active_users", 10.0, "day", "2026-11-01")
    bench.write("usage.csv", "customer,day,logins,seats\n" + "\n".join(rows[1:]))
    assert bench.pull().tombstoned == 1
    assert len(bench.live("1", "usage_metric")) == 12


def test_fixed_columns_are_the_same_in_every_row(bench: Any) -> None:
    bench.config("""connections:
  product:
    connector: tabular
    timezone: UTC
    tables:
      nps: {file: nps.csv, entity: survey_response, key: id, fixed: {kind: nps, scale_max: "10"}}
fields:
  product.nps: {customer: survey_response.account_source_id, answer: survey_response.score,
                at: survey_response.responded_at}
""")
    bench.write("nps.csv", "id,customer,answer,at\n1,c/1,9,2026-11-01 10:00:00\n")
    bench.pull()
    assert bench.live("kind, scale_max, score, account_source_id, responded_at", "survey_response") == [
        ("nps", 10, 9.0, "c/1", "2026-11-01T10:00:00Z")
    ]


def test_a_time_without_zone_is_quarantined_unless_the_settings_name_one(bench: Any, customers: Any) -> None:
    customers(mapped="seen: account.updated_at")
    bench.write("customers.csv", "id,name,staff,seen\n1,Acme,5,2026-11-01 10:00:00\n")
    assert bench.pull().quarantined == 1
    assert "without a time zone" in bench.quarantined()["1"]


def test_a_dot_in_a_header_is_a_step_as_in_fields(bench: Any, customers: Any) -> None:
    customers(mapped="plan.name: account.segment")
    bench.write("customers.csv", "id,name,staff,plan.name\n1,Acme,5,gold\n")
    bench.pull()
    assert bench.live("segment") == [("gold",)]


# --- laws -------------------------------------------------------------------------------------------------------------

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=30), st.integers(1, 40))
def test_what_a_csv_writer_wrote_is_what_is_read(rows: list[tuple[str, str]], size: int) -> None:
    import csv

    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "a.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("id", "name", "more"))
            writer.writerows((str(n), *row) for n, row in enumerate(rows))
        with opened(Path(folder), Table(file="a.csv", entity="account", key="id"), (), size) as source:
            assert isinstance(source, Source)
            found = list(source.items)
    assert found == [{"id": str(n), "name": a, "more": b} for n, (a, b) in enumerate(rows)]


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=400))
def test_no_line_of_any_file_is_lost(raw: bytes) -> None:
    """Every line is in a row, in quarantine or blank: ids are the line numbers."""
    text = raw.replace(b"\r", b"").replace(b"\0", b"")
    lines = [b"%d,%b" % (n, line) for n, line in enumerate(text.split(b"\n"))]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.csv").write_bytes(b"id,name\n" + b"\n".join(lines))
        with opened(Path(folder), Table(file="a.csv", entity="account", key="id"), (), 10) as source:
            seen = set()
            for item in source.items:
                if isinstance(item, dict):
                    seen.update([item["id"], *(part.split(",")[0] for part in item["name"].split("\n")[1:])])
                else:
                    seen.add(item.raw["text"].split(",")[0])
    assert {str(n) for n in range(len(lines))} <= seen


def configured(folder: Path, size: int) -> str:
    return f"""workspace: acme
timezone: UTC
currency: EUR
store: {folder / "x.db"}
connections:
  product: {{connector: tabular, page_size: {size}, tables: {{c: {{file: c.csv, entity: account, key: id}}}}}}
"""


def test_page_sizes_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "cssync.yaml").write_text(configured(tmp_path, 0))
    with pytest.raises(ConfigError, match="page_size"):
        load_workspace(tmp_path / "cssync.yaml")
