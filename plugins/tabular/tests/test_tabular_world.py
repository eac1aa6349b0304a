"""The same world as the other sandboxes, as exports and a product database: set up, checked, pulled, linked."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cssync.cli import main
from cssync.errors import ConfigError
from cssync.link import link
from cssync.sandbox.make_world import make
from cssync.sandbox.world import World
from cssync_tabular.check import kind_of, propose
from cssync_tabular.sandbox import CONFIG, write

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return make(30, now=NOW)


@pytest.fixture
def exported(bench: Any, world: World) -> Any:
    write(world, bench.folder)
    return bench.config(CONFIG)


def test_the_world_arrives_whole_and_again_unchanged(exported: Any, world: World) -> None:
    exported.pull()
    terms = [t for c in world.companies for t in c.terms]
    usage = [(c.key, d.isoformat(), float(n)) for c in world.companies for d, n in c.usage]
    assert exported.store.query("SELECT count(*) FROM quarantine")[0][0] == 0
    assert exported.store.query("SELECT count(*) FROM account_source")[0][0] == 2 * len(world.companies)
    ends = dict(exported.live("source_id, end_date", "contract"))
    assert ends == {t.key: None if t.open_ended else t.end.isoformat() for t in terms}
    assert sorted(exported.live("account_source_id, period_start, value", "usage_metric")) == sorted(usage)
    history = exported.store.query("SELECT count(*) FROM history")[0][0]
    exported.pull()
    assert exported.store.query("SELECT count(*) FROM history")[0][0] == history == 0


def test_rows_find_their_account(exported: Any) -> None:
    exported.pull()
    report = link(exported.store, exported.workspace(), NOW)
    assert report.unassigned == {}


def test_check_and_fields_say_what_is_ready(exported: Any) -> None:
    exported.workspace()
    config = ["--config", str(exported.folder / "cssync.yaml")]
    result = CliRunner().invoke(main, [*config, "check", "product"])
    assert result.exit_code == 0, result.output
    assert "file product.db" in result.output
    result = CliRunner().invoke(main, [*config, "fields", "exports", "customers", "--json"])
    listed = {f["name"]: (f["type"], f["proposal"], f["mapped_to"]) for f in json.loads(result.output)["fields"]}
    assert listed["staff"] == ("integer", "", "account_source.employee_count")
    assert listed["number"][0] == "text", "00001 is no number"


def test_check_names_everything_that_is_wrong(bench: Any) -> None:
    bench.config("""connections:
  product:
    connector: tabular
    tables:
      gone: {file: gone.csv, entity: contract, key: id}
      customers: {file: customers.csv, entity: account, key: id}
      usage: {file: usage.csv, entity: usage_metric, key: day, cursor: note}
      plain: {file: usage.csv, entity: invoice, key: day}
fields:
  product.customers: {nmae: account.name, seen: account.updated_at}
  product.usage: {day: usage_metric.period_start, logins: usage_metric.logins, seen: usage_metric.updated_at}
""")
    bench.write("customers.csv", "id,name,seen\n1,Acme,2026-11-01 10:00:00\n")
    bench.write("usage.csv", "day,logins,note,seen\n2026-11-01,5,x,2026-11-01 10:00\n2026-11-01,five,y,2026-11-01\nz\n")
    said = {(f.subject, f.level): f"{f.message} {f.fix}" for f in bench.check()}
    assert "cannot be read" in said["gone", "error"]
    assert "did you mean 'name'" in said["customers.nmae", "error"]
    assert "the same in 1 more rows" in said["usage.key", "warning"]
    assert "neither number nor time" in said["usage.note", "warning"]
    found = [f"{f.message} {f.fix}" for f in bench.check() if f.subject == "usage"]
    assert any("belong to nobody" in text for text in found)
    assert any("not a number" in text for text in found)
    assert any("line 4: 1 cells, the header has 4" in text for text in found)
    assert any("no column is mapped" in f.message for f in bench.check() if f.subject == "plain")


def test_check_says_which_zone_is_missing(bench: Any, customers: Any) -> None:
    customers(mapped="seen: account.updated_at")
    bench.write("customers.csv", "id,name,staff,seen\n1,Acme,5,2026-11-01 10:00:00\n")
    (fault,) = [f for f in bench.check() if f.level == "error"]
    assert "without a time zone" in fault.message
    assert "timezone" in fault.fix


def test_columns_are_described_and_a_mapping_is_proposed(bench: Any) -> None:
    bench.config("""connections:
  product:
    connector: tabular
    sqlite: product.db
    tables:
      usage: {query: "SELECT * FROM usage", entity: usage_metric, key: [customer_id, day]}
fields:
  product.usage: {logins: usage_metric.logins}
""")
    with closing(sqlite3.connect(bench.folder / "product.db")) as conn, conn:
        conn.execute("CREATE TABLE usage (customer_id, day, logins, minutes, changed_at, extra, trial)")
        row = ("c1", "2026-11-01", 5, 1.5, "2026-11-02 10:00:00", '{"a": 1}', "true")
        conn.execute("INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    assert bench.describe("usage") == {
        "customer_id": ("text", "usage_metric.account_source_id"),
        "day": ("date", "usage_metric.period_start"),
        "logins": ("integer", ""),
        "minutes": ("real", "usage_metric.minutes"),
        "changed_at": ("instant", "usage_metric.updated_at"),
        "extra": ("text", ""),
        "trial": ("bool", ""),
    }


@pytest.mark.parametrize(
    ("column", "kind", "entity", "target"),
    [
        ("Company Domain", "text", "account_source", "account.domains"),
        ("name", "text", "account_source", "account.name"),
        ("hubspot_id", "text", "account_source", "account.external_id"),
        ("Contract End", "date", "contract", "contract.end_date"),
        ("auto_renew", "bool", "contract", "contract.auto_renew"),
        ("customer_id", "integer", "invoice", "invoice.account_source_id"),
        ("paid_on", "date", "invoice", "invoice.paid_at"),
        ("colour", "text", "invoice", ""),
    ],
)
def test_proposals(column: str, kind: str, entity: str, target: str) -> None:
    assert propose(column, kind, entity, ("id",)) == target


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "22", ""], "integer"), (["1", "2.5"], "real"), (["0123", "44"], "text"), ([None, ""], "text"),
        (["2026-01-01", "2026-01-01 10:00:00"], "instant"), (["true", "False"], "bool"), ([{"a": 1}], "json"),
        (["1", "x"], "text"), (["2026-13-45T99:00:00"], "text"),
    ],
)  # fmt: skip
def test_kinds(values: list[Any], kind: str) -> None:
    assert kind_of(values) == kind


WRONG = {
    "two places": ("folder: a, sqlite: b.db, tables: {t: {file: a.csv, entity: account, key: id}}", "one place"),
    "query without database": ("tables: {t: {query: SELECT 1, entity: account, key: id}}", "needs `sqlite` or"),
    "file of a database": ("sqlite: b.db, tables: {t: {file: a.csv, entity: account, key: id}}", "is read from a"),
    "both": ("sqlite: b.db, tables: {t: {file: a.csv, query: SELECT 1, entity: account, key: id}}", "one of them"),
    "no table": ("tables: {}", "tables"),
    "no key": ("tables: {t: {file: a.csv, entity: account}}", "key 'key' is missing"),
    "unknown entity": ("tables: {t: {file: a.csv, entity: acount, key: id}}", "must be one of account_source"),
    "our own state": ("tables: {t: {file: a.csv, entity: crm_task, key: id}}", "must be one of account_source"),
    "misspelt key": ("tables: {t: {fil: a.csv, entity: account, key: id}}", "unknown key 'fil'"),
    "unknown format": ("tables: {t: {file: a.xlsx, entity: account, key: id}}", "needs a `format`"),
    "encoding": ("tables: {t: {file: a.csv, entity: account, key: id, encoding: utf-9}}", "no encoding"),
    "delimiter": ("tables: {t: {file: a.csv, entity: account, key: id, delimiter: ab}}", "one character"),
    "zone": ("timezone: Mars, tables: {t: {file: a.csv, entity: account, key: id}}", "no time zone"),
    "fixed": ("tables: {t: {file: a.csv, entity: account, key: id, fixed: {x: y}}}", "has no column 'x'"),
    "base_url": ("base_url: https://a.example, tables: {t: {file: a.csv, entity: account, key: id}}", "means nothing"),
    "one entity twice": ("tables: {t: {file: a.csv, entity: account, key: id}, "
                         "u: {file: b.csv, entity: account, key: id}}", "both hold account_source"),
    "name": ("tables: {T T: {file: a.csv, entity: account, key: id}}", "a name is"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_are_told_before_anything_is_read(bench: Any, case: str) -> None:
    settings, words = WRONG[case]
    bench.config(f"connections:\n  product: {{connector: tabular, {settings}}}\n")
    with pytest.raises(ConfigError) as caught:
        bench.workspace()
    assert words in caught.value.message


def test_a_mapping_of_a_table_that_is_not_there_is_a_fault(bench: Any, customers: Any) -> None:
    customers()
    bench.text = bench.text.replace("product.customers:", "product.customer:")
    with pytest.raises(ConfigError, match="tabular has no stream 'customer'; did you mean 'customers'"):
        bench.workspace()


def test_paths_begin_at_the_folder_of_the_file(
    bench: Any, customers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers()
    bench.write("customers.csv", "id,name,staff\n1,Acme,5\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert bench.pull().new == 1
