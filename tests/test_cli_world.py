"""Commands at work: over HTTP against the installed connectors' sandbox vendors."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from arr_of_rules import arr_facts
from cssync.cli import main, when
from cssync.cli.init import TEMPLATE
from cssync.config.load import load_workspace
from cssync.http.clock import SYSTEM
from cssync.metrics.fx import load_rates, rounded
from cssync.plugins import plugins
from cssync.runs.lease import hold_lease
from cssync.sandbox.make_world import make
from cssync.sandbox.vendors import Vendor, vendors
from cssync.sandbox.workspace import CONNECTIONS, write_workspace
from cssync.store import Store

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def invoke(*args: str) -> Result:
    result = CliRunner().invoke(main, list(args))
    assert "Traceback" not in result.stderr, result.stderr
    return result


def answer(*args: str, code: int = 0) -> Any:
    """Run with --json and return the document."""
    result = invoke(*args, "--json")
    assert result.exit_code == code, result.stderr
    document = json.loads(result.stdout)
    assert document.pop("version") == 1
    return document


@pytest.fixture(scope="module", autouse=True)
def that_day() -> Iterator[None]:
    """The clock goes on from the day of the world, whenever the tests run: its data would be old one day."""
    late = time.time() - NOW.timestamp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cssync.cli.when.now", lambda: datetime.now(UTC) - timedelta(seconds=late))
        patch.setattr(type(SYSTEM), "time", lambda _: time.time() - late)
        yield


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Vendor, ...]]:
    connectors = {name: plugins().connector(vendor) for name, vendor in CONNECTIONS.items()}
    with vendors(make(12, now=NOW), connectors) as found:
        for vendor in found:
            vendor.server.clock = SYSTEM.time
        yield found


@pytest.fixture(scope="module")
def synced(running: tuple[Vendor, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that was pulled once; tests copy it."""
    folder = tmp_path_factory.mktemp("synced")
    write_workspace(folder, {v.connection: v.connector for v in running}, {v.connection: v.server.url for v in running})
    result = CliRunner().invoke(main, ["-c", str(folder / "cssync.yaml"), "sync"])
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture
def here(synced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    shutil.copytree(synced, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def store(here: Path) -> Iterator[Store]:
    with Store.open(here / "cssync.db") as opened:
        yield opened


def test_sync_tells_each_stream_and_a_second_one_reads_nothing_new(here: Path) -> None:
    document = answer("sync")
    names = {f"{s['connection']}.{s['stream']}" for s in document["streams"]}
    assert {"crm.companies", "sales.accounts", "desk.tickets", "sales.Product_Usage__c"} <= names
    assert all(s["outcome"] in ("ok", "empty") for s in document["streams"])
    assert sum(s["new"] + s["changed"] for s in document["streams"]) == 0
    assert document["link"]["accounts"] > 10
    text = invoke("sync", "crm", "--stream", "companies")
    assert text.stdout.splitlines()[0].split()[:3] == ["STREAM", "OUTCOME", "READ"]
    assert text.stdout.count("crm.") == 1


def test_a_sync_of_what_does_not_exist_suggests_what_does(here: Path) -> None:
    for args, words in (
        (("crn",), "did you mean 'crm'?"),
        (("crm", "--stream", "companys"), "did you mean 'companies'?"),
        (("--stream", "companies"), "--stream needs a connection"),
    ):
        result = invoke("sync", *args)
        assert (result.exit_code, result.stdout) == (2, "")
        assert words in result.stderr


def test_a_vendor_that_is_down_stops_alone_and_the_rest_is_partial(here: Path) -> None:
    path = here / "cssync.yaml"
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line == "  desk:")
    lines[at + 2] = "    base_url: http://127.0.0.1:9\n    patience: 0"
    path.write_text("\n".join(lines))
    result = invoke("sync")
    assert result.exit_code == 3
    assert ["desk.organizations", "failed"] in [line.split()[:2] for line in result.stdout.splitlines()]
    assert result.stderr.count("desk.organizations: ") == 1
    assert "kept: " in result.stderr
    assert "fix: check that the host can be reached" in result.stderr
    only = invoke("sync", "desk")
    assert only.exit_code == 1


def test_refused_credentials_fail_the_connection_and_appear_nowhere(here: Path) -> None:
    canary = "canary-2f6a8d11"
    secret = here / "secrets" / "crm-token"
    secret.write_text(canary)
    for args in (("sync", "crm"), ("sync", "crm", "-vv"), ("check", "crm"), ("sync", "crm", "--json")):
        result = invoke(*args)
        assert result.exit_code in (1, 2)
        assert canary not in result.stdout + result.stderr
        assert "401" in result.stdout + result.stderr
    assert canary.encode() not in (here / "cssync.db").read_bytes()


def test_while_another_run_is_at_work_writers_leave_with_5_and_readers_read(here: Path, store: Store) -> None:
    with hold_lease(store, owner="other"):
        result = invoke("sync")
        assert result.exit_code == 5
        assert "another run" in result.stderr
        assert "other" in answer("status")["lease"]
        assert answer("accounts")["total"] > 10
    assert answer("status")["lease"] is None


def test_status_shows_runs_streams_and_counts(here: Path) -> None:
    document = answer("status")
    assert document["workspace"] == "demo"
    assert [r["command"] for r in document["runs"]] == ["sync"]
    assert document["runs"][0]["outcome"] == "ok"
    companies = next(s for s in document["streams"] if s["stream"] == "companies")
    assert companies["outcome"] == "ok"
    assert companies["has_cursor"]
    assert document["quarantine"] == 0
    assert "crm.companies" in invoke("status").stdout


def test_status_before_the_first_sync_says_what_to_do(here: Path) -> None:
    for file in here.glob("cssync.db*"):
        file.unlink()
    result = invoke("status")
    assert result.exit_code == 2
    assert "there is no store" in result.stderr
    assert "cssync sync" in result.stderr
    assert not (here / "cssync.db").exists()


@pytest.mark.parametrize("command", [("status",), ("accounts",), ("sync",), ("link", "list"), ("quarantine", "retry")])
def test_the_store_of_another_workspace_is_refused_and_left_alone(here: Path, command: tuple[str, ...]) -> None:
    path = here / "cssync.yaml"
    path.write_text(path.read_text().replace("workspace: demo", "workspace: other"))
    before = (here / "cssync.db").read_bytes()
    result = invoke(*command)
    assert result.exit_code == 2
    assert "belongs to workspace 'demo', not to 'other'" in result.stderr
    assert (here / "cssync.db").read_bytes() == before


def test_a_store_of_a_newer_schema_is_refused(here: Path, store: Store) -> None:
    store.db.conn.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) SELECT migration_set, 'm9999', applied_at "
        "FROM _sqlite_migrations LIMIT 1"
    )
    result = invoke("status")
    assert result.exit_code == 2
    assert "made by a newer cssync" in result.stderr


def test_a_file_that_is_no_store_is_refused(here: Path) -> None:
    for file in here.glob("cssync.db*"):
        file.unlink()
    (here / "cssync.db").write_text("not a database, " * 100)
    result = invoke("status")
    assert result.exit_code == 2
    assert "is not a cssync store" in result.stderr


def test_check_asks_everybody_and_says_what_is_missing(here: Path) -> None:
    result = invoke("check", "--json")
    parts = {part["part"]: part for part in json.loads(result.stdout)["parts"]}
    assert list(parts) == ["crm", "sales", "desk", "store", "rules", "fx", "limits"]
    assert parts["crm"]["organisation"]["kind"] in ("production", "sandbox")
    wrong = [f for f in parts["crm"]["findings"] if f["level"] == "error"]
    assert result.exit_code == 1
    assert any("cs_health_score" in f["subject"] for f in wrong)
    assert all(f["fix"] for f in wrong)
    assert any(f["subject"] == "start" and "everything" in f["message"] for f in parts["limits"]["findings"])


def test_check_says_which_limits_are_in_force(here: Path) -> None:
    path = here / "cssync.yaml"
    path.write_text(path.read_text() + "\nlimits: {changes: 12.5%, changes_count: 40, share: 30%}\n")
    limits = json.loads(invoke("check", "--json").stdout)["parts"][-1]["findings"]
    told = {f["subject"]: f["message"] for f in limits}
    assert "12.5% of a field's records, or more than 40 records" in told["brake"]
    assert told["share"].startswith("30% of")


def test_check_reads_the_exchange_rates_where_a_file_is_named(here: Path) -> None:
    rates = here / "rates.csv"
    rates.write_text("date,from,to,rate\n2026-01-01,EUR,JPY,160.25\n2026-11-01,USD,JPY,150\n")
    told = next(p for p in answer("check", code=1)["parts"] if p["part"] == "fx")
    assert told["ok"]
    assert told["findings"][0]["message"] == "2 rates, the newest of 2026-11-01"
    rates.write_text("date,from,to,rate\n2026-01-01,EUR,JPY,160.25\n2026-11-01,USD,JPY,much\n")
    told = next(p for p in answer("check", code=1)["parts"] if p["part"] == "fx")
    assert "rates.csv:3:20: rate: write a number above 0" in told["findings"][0]["message"]


def test_arr_of_the_key_figures_is_the_fact_of_the_rules(here: Path, store: Store) -> None:
    """Every account of the world, several currencies: converted, the rules' number is the key figures' number."""
    workspace = load_workspace(here / "cssync.yaml", secrets=False)
    report = answer("kpi", "--period", "2026", "--as-of", "2026-11-20", "--cohort", "arr")
    found = {row["account"]: row["arr"] for row in report["cohort"]["rows"]}
    as_of = datetime.fromisoformat(report["as_of"])
    facts = arr_facts(store.reader(), as_of, workspace.timezone, workspace.currency, workspace.masters)
    money = dict(store.reader().execute("SELECT account_uid, min(currency) FROM contract_line GROUP BY account_uid"))
    rates, day = load_rates(workspace), date.fromisoformat(report["close"])
    expected = {
        uid: rounded(rates.convert(arr, money[uid] or workspace.currency, workspace.currency, day))
        for uid, arr in facts.items()
        if arr
    }
    assert len({money[uid] for uid in expected}) > 1
    assert found == expected
    assert report["figures"]["arr"]["value"] == sum(expected.values())


def test_key_figures_with_what_was_known_then(here: Path, store: Store) -> None:
    before = answer("kpi", "--period", "2026", "--cohort", "arr")
    asked = ("kpi", "--period", "2026", "--as-of", before["as_of"], "--cohort", "arr")
    account = before["cohort"]["rows"][0]["account"]
    lines = store.query("SELECT source_id FROM contract_line WHERE account_uid = ?", (account,))
    with store.transaction() as conn:
        dearer = [{"source_id": row["source_id"], "amount": 10**12} for row in lines]
        assert store.upsert(conn, "contract_line", "sales", dearer, "2999-01-01T00:00:00Z").changed
    assert answer(*asked)["figures"]["arr"]["value"] > before["figures"]["arr"]["value"]
    assert answer(*asked, "--known-as-of", before["as_of"]) == before
    assert answer(*asked, "--known-as-of", "2020-01-01")["figures"]["arr"]["n"] == 0


def test_check_ends_though_a_vendor_cannot_be_reached(here: Path) -> None:
    path = here / "cssync.yaml"
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line == "  desk:")
    lines[at + 2] = "    base_url: http://127.0.0.1:9\n    patience: 0"
    path.write_text("\n".join(lines))
    desk = next(p for p in answer("check", code=1)["parts"] if p["part"] == "desk")
    assert [f["subject"] for f in desk["findings"]] == ["credentials"]
    assert "check that the host can be reached" in desk["findings"][0]["fix"]


def test_check_is_content_once_the_fields_exist(here: Path, running: tuple[Vendor, ...]) -> None:
    assert invoke("provision").exit_code == 0
    result = invoke("check")
    assert result.exit_code == 0, result.stdout
    assert result.stdout.splitlines()[-1] == "ready"


def test_check_names_results_that_no_rule_gives(here: Path) -> None:
    path = here / "cssync.yaml"
    path.write_text(path.read_text().replace("health.score", "health.scor", 1))
    rules = next(p for p in answer("check", code=1)["parts"] if p["part"] == "rules")
    (wrong,) = [f for f in rules["findings"] if f["level"] == "error"]
    assert "did you mean 'health.score'?" in wrong["message"]


def test_check_changes_nothing_and_creates_no_store(here: Path) -> None:
    for file in here.glob("cssync.db*"):
        file.unlink()
    store = next(p for p in json.loads(invoke("check", "--json").stdout)["parts"] if p["part"] == "store")
    assert store["findings"][0]["message"] == "will be created by the first run"
    assert not (here / "cssync.db").exists()


def test_check_sees_another_organisation_behind_the_credentials(here: Path, store: Store) -> None:
    with store.transaction() as conn:
        conn.execute("UPDATE binding SET org_id = 'elsewhere' WHERE connection = 'crm'")
    crm = next(p for p in answer("check", "crm", code=1)["parts"])
    assert any(f["subject"] == "organisation" and "elsewhere" in f["message"] for f in crm["findings"])
    assert invoke("sync").exit_code == 2


def test_fields_lists_what_the_vendor_has_and_what_is_mapped(here: Path) -> None:
    fields = {f["name"]: f for f in answer("fields", "sales", "contracts")["fields"]}
    assert fields["Seats__c"]["mapped_to"] == "contract_line.quantity"
    assert fields["Seats__c"]["custom"]
    with Store.open(here / "cssync.db") as store:
        (share,) = store.query(
            "SELECT (SELECT count(quantity) FROM contract_line WHERE connection = 'sales') * 1.0 / count(*) "
            "FROM contract WHERE connection = 'sales'"
        )
    assert fields["Seats__c"]["filled"] == share[0] > 0
    assert fields["Name" if "Name" in fields else "Id"]["filled"] is None  # nobody reads it: not known
    listed = invoke("fields", "crm").stdout
    assert "100%" in listed
    assert "subscriber, lead, opportunity, and 3 more" in listed
    assert answer("fields", "crm")["stream"] == "companies"
    assert "did you mean 'contracts'?" in invoke("fields", "sales", "contrats").stderr


def test_fields_proposes_a_mapping_for_what_is_not_mapped(here: Path) -> None:
    text = (here / "cssync.yaml").read_text()
    assert "    Seats__c: contract_line.quantity\n" in text
    (here / "cssync.yaml").write_text(text.replace("    Seats__c: contract_line.quantity\n", ""))
    fields = {f["name"]: f for f in answer("fields", "sales", "contracts")["fields"]}
    assert fields["Seats__c"]["proposal"] == "contract_line.quantity"
    assert {f["proposal"] for f in fields.values() if not f["custom"] or f["mapped_to"]} == {""}
    *_, told, written = invoke("fields", "sales", "contracts").stdout.splitlines()
    assert told.startswith("? is a proposal")
    assert yaml.safe_load(written) == {"sales.contracts": {"Seats__c": "contract_line.quantity"}}
    assert "other streams of crm: contacts, deals" in invoke("fields", "crm").stdout


@pytest.mark.parametrize("given", [(), ("crm", "--full"), ("crm", "--stream", "companies")])
def test_deletions_are_accepted_for_one_stream_that_is_read_whole(here: Path, given: tuple[str, ...]) -> None:
    result = invoke("sync", *given, "--accept-deletions")
    assert result.exit_code == 2
    assert "--full --accept-deletions" in result.stderr
    assert invoke("sync", "crm", "--stream", "companies", "--full", "--accept-deletions").exit_code == 0


def test_accounts_lists_every_account_and_narrows_down(here: Path) -> None:
    document = answer("accounts", "--limit", "3")
    assert len(document["accounts"]) == 3
    assert document["total"] > 10
    assert invoke("accounts", "--band", "green").stdout.endswith(f"0 of {document['total']} accounts\n")


def test_a_person_parts_and_joins_records(here: Path) -> None:
    links = answer("link", "list")["links"]
    desk = next(
        x for x in links
        if x["connection"] == "desk" and sum(y["account"] == x["account"] for y in links) > 1
    )  # fmt: skip
    record = f"desk:{desk['source_id']}"
    parted = answer("link", "reject", record, desk["account"])
    assert parted["changed"]
    assert parted["links"][0]["account"] != desk["account"]
    assert not answer("link", "reject", record, desk["account"])["changed"]
    invoke("sync")
    assert record not in invoke("link", "list", desk["account"]).stdout
    joined = answer("link", "accept", record, desk["account"])
    assert [(x["account"], x["method"]) for x in joined["links"]] == [(desk["account"], "manual")]
    invoke("sync")
    assert record in invoke("link", "list", desk["account"]).stdout


def test_a_decision_about_an_unknown_record_is_refused(here: Path) -> None:
    result = invoke("link", "accept", "desk:0", "acc-0")
    assert result.exit_code == 2
    assert "there is no company record 'desk:0'" in result.stderr


def test_quarantined_records_are_listed_retried_and_dropped(here: Path, store: Store) -> None:
    good = {"id": "77", "properties": {"name": "Mended", "hs_lastmodifieddate": "2026-11-01T00:00:00Z"}}
    with store.transaction() as conn:
        for source_id, raw in (("77", good), ("78", {"properties": {}}), ("79", good)):
            conn.execute(
                "INSERT INTO quarantine VALUES ('crm', 'companies', ?, 'domain', 'not text', ?, ?, ?)",
                (source_id, json.dumps(raw), *["2026-11-20T00:00:00Z"] * 2),
            )
    listed = answer("quarantine", "list", "crm", "--stream", "companies")["quarantine"]
    assert {r["source_id"] for r in listed} == {"77", "78", "79"}
    assert next(r for r in listed if r["source_id"] == "77")["raw"] == good
    assert "crm.companies:77" in invoke("quarantine", "list").stdout
    done = answer("quarantine", "retry", "crm", "--id", "77")
    assert (done["stored"], done["kept"]) == (1, 0)
    assert store.query("SELECT name FROM account_source WHERE source_id = '77'")[0]["name"] == "Mended"
    assert answer("quarantine", "retry", "crm", "--id", "78", code=3)["kept"] == 1
    assert "correct their values at the vendor" in invoke("quarantine", "retry", "crm", "--id", "78").stdout
    assert "records that could not be read: 2; `cssync quarantine list`" in invoke("failures").stdout
    assert invoke("quarantine", "drop").exit_code == 2
    assert answer("quarantine", "drop", "--all") == {"dropped": 2}
    assert answer("quarantine", "list") == {"quarantine": []}


def test_init_writes_a_file_that_loads_and_never_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("init").exit_code == 0
    assert (tmp_path / "cssync.yaml").read_text() == TEMPLATE
    workspace = load_workspace(Path("cssync.yaml"), secrets=False)
    assert list(workspace.connections) == ["crm"]
    again = invoke("init")
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    other = [line.replace("  # ", "  ", 1).replace("# ", "", 1) if line.startswith(("  # ", "# f", "# m", "#   "))
             else line for line in TEMPLATE.splitlines()]  # fmt: skip
    Path("all.yaml").write_text("\n".join(other))
    everything = load_workspace(Path("all.yaml"), secrets=False)
    assert list(everything.connections) == ["crm", "sales", "desk"]
    assert everything.masters == {"account.name": "crm", "contract": "crm"}


def test_plugins_lists_ours(here: Path) -> None:
    found = {p["name"]: p for p in answer("plugins")["plugins"]}
    assert {"hubspot", "salesforce", "zendesk", "rules"} <= set(found)
    assert not any(p["error"] for p in found.values())


def test_missing_credentials_do_not_stop_commands_that_call_nobody(here: Path) -> None:
    shutil.rmtree(here / "secrets")
    for command in (("status",), ("accounts",), ("link", "list"), ("quarantine", "list")):
        assert invoke(*command).exit_code == 0
    result = invoke("sync")
    assert result.exit_code == 2
    assert result.stderr.count("No such file or directory") == 3
    assert "cssync.yaml:" in result.stderr


@pytest.fixture(scope="module")
def judged(synced: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace after an evaluation; tests copy it."""
    folder = tmp_path_factory.mktemp("judged") / "here"
    shutil.copytree(synced, folder)
    result = CliRunner().invoke(main, ["-c", str(folder / "cssync.yaml"), "evaluate"])
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture
def there(judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "there"
    shutil.copytree(judged, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands a minute after now: an evaluation in the second of another one would take its place."""
    moment = when.now() + timedelta(minutes=1)
    monkeypatch.setattr("cssync.cli.when.now", lambda: moment)


@pytest.mark.usefixtures("minute")
def test_evaluate_tells_what_changed_and_again_nothing(there: Path) -> None:
    document = answer("evaluate")
    assert {p["pack"] for p in document["packs"]} >= {"health", "renewal", "risk", "upsell"}
    assert sum(document["bands"].values()) == document["packs"][0]["accounts"]
    assert all(p["signals_started"] == p["signals_ended"] == 0 for p in document["packs"])
    assert "health: " in invoke("evaluate").stdout


def test_without_a_rate_for_the_limits_of_tiers_it_is_said_that_tasks_stay_out(there: Path) -> None:
    path = there / "cssync.yaml"
    assert "touch tiers" not in invoke("evaluate").stdout
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("fx:")))
    why = "no exchange rate from JPY to USD"
    assert why in invoke("evaluate").stdout
    (rules,) = [p for p in json.loads(invoke("check", "--json").stdout)["parts"] if p["part"] == "rules"]
    (told,) = [f for f in rules["findings"] if f["subject"] == "touch tiers"]
    assert (told["level"], why in told["message"]) == ("warning", True)
    assert "fx" in told["fix"]


def test_evaluate_again_gives_what_is_on_record_and_keeps_nothing(there: Path) -> None:
    answer("evaluate")
    before = (there / "cssync.db").read_bytes()
    with Store.open(there / "cssync.db") as store:
        (last,) = store.query("SELECT max(as_of) FROM evaluation")
        scores = store.query("SELECT count(*) FROM result")[0][0]
    document = answer("evaluate", "--as-of", last[0], "--diff")
    assert document["differences"] == []
    assert (document["replay"]["on_record"], document["replay"]["rules"]) == (True, "then")
    assert len(document["results"]) == scores
    assert "the same as on record, byte for byte" in invoke("evaluate", "--as-of", last[0], "--diff").stdout
    assert "no account was known then" in invoke("evaluate", "--as-of", "2020-01-01").stdout
    assert invoke("evaluate", "--diff").exit_code == 2
    assert (there / "cssync.db").read_bytes() == before


def test_accounts_come_lowest_score_first_and_can_be_narrowed_to_a_band(there: Path) -> None:
    scores = [a["results"].get("health.score") for a in answer("accounts")["accounts"]]
    known = [s for s in scores if s is not None]
    assert known == sorted(known)
    assert scores[: len(known)] == known
    unknown = answer("accounts", "--band", "unknown")["accounts"]
    assert len(unknown) + len(known) == len(scores)


def test_explain_says_each_measure_its_inputs_and_the_points_it_costs(there: Path) -> None:
    accounts = answer("accounts")["accounts"]
    shared = Counter(domain for account in accounts for domain in account["domains"])
    named = ((a, domain) for a in accounts for domain in a["domains"] if shared[domain] == 1)
    worst, domain = next(named)  # a mail provider's domain may be several accounts'
    document = answer("explain", domain)
    assert document["account"]["uid"] == worst["uid"]
    health = next(p for p in document["packs"] if p["pack"] == "health")
    assert health["score"] == worst["results"]["health.score"]
    assert sum(m["lost"] or 0 for m in health["measures"]) == pytest.approx(100 - health["exact_score"], abs=0.05)
    text = invoke("explain", worst["uid"]).stdout
    assert f"health: {health['score']} ({health['band']})" in text
    for measure in health["measures"]:
        assert f"  {measure['label']}: " in text
    for record in document["records"]:
        assert f"{record['connection']}:{record['source_id']}" in text


def test_explain_shows_the_value_before_and_what_was_on_record_then(there: Path) -> None:
    worst = answer("accounts", "--limit", "1")["accounts"][0]
    with Store.open(there / "cssync.db") as store, store.transaction() as conn:
        conn.execute(
            "INSERT INTO result_history (account_uid, name, value, state, because, since, until, pack_hash) SELECT "
            "account_uid, name, '88', 'ok', '', '2026-10-01T00:00:00Z', since, '' FROM result "
            "WHERE name = 'health.score' AND account_uid = ?",
            (worst["uid"],),
        )
    assert "before that 88" in invoke("explain", worst["uid"]).stdout
    then = answer("explain", worst["uid"], "--as-of", "2026-10-15")
    assert [(r["name"], r["value"]) for r in then["results"]] == [("health.score", 88)]
    assert then["packs"] == []


def test_an_account_that_nobody_knows_suggests_who_may_be_meant(there: Path) -> None:
    name = answer("accounts", "--limit", "1")["accounts"][0]["name"]
    result = invoke("explain", name[:-1] + "x")
    assert result.exit_code == 2
    assert "did you mean one of" in result.stderr
    assert name in result.stderr


def test_report_prints_a_table_a_document_and_a_file(here: Path) -> None:
    (here / "own").mkdir()
    (here / "own" / "desk.yaml").write_text(
        "pack: desk\nreports:\n  BY_STATUS: {title: Tickets, of: tickets, by: [status], "
        "columns: {n: {count: rows}, accounts: {distinct: account}}, order: [n desc]}\n",
        encoding="utf-8",
    )
    config = here / "cssync.yaml"
    config.write_text(re.sub(r"^rules: .*$", "rules: [standard, ./own]", config.read_text(), flags=re.MULTILINE))
    (report,) = answer("report", "BY_STATUS")["reports"]
    assert sum(row["n"] for row in report["rows"]) > 10
    text = invoke("report", "desk").stdout.splitlines()
    assert text[0].startswith("BY_STATUS  Tickets  (as of ")
    assert text[1].split() == ["STATUS", "N", "ACCOUNTS"]
    assert text[2].split()[1] == str(report["rows"][0]["n"])
    written = invoke("report", "desk", "--out", "desk.md")
    assert "wrote 1 report to desk.md" in written.stderr
    assert "| status | n | accounts |" in (here / "desk.md").read_text(encoding="utf-8")
    assert "did you" not in invoke("report").stderr
    unknown = invoke("report", "nothing")
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert "there is no report 'nothing'" in unknown.stderr
    assert invoke("report", "desk", "--out", "no/such/folder.md").exit_code == 2


@pytest.mark.usefixtures("minute")
def test_a_plan_shows_the_evidence_of_each_change_and_still_does_when_the_data_moved_on(there: Path) -> None:
    plan = json.loads(invoke("plan", "--json").stdout)
    changes = {(c["account_uid"], c["result_name"]): c for c in plan["changes"]}
    with Store.open(there / "cssync.db") as store:
        seen = 0
        for (uid, name), change in changes.items():
            if name == "health.score":
                (row,) = store.query(
                    "SELECT features FROM feature_row WHERE account_uid = ? AND pack = 'health'", (uid,)
                )
                features = json.loads(row[0])
                assert change["evidence"]["seats"] == features["seats"]
                assert change["evidence"]["usage_growth"] == features["usage_growth"]
                seen += 1
            elif name == "risk.flags":
                assert set(change["evidence"]) == set(change["new"])
                seen += 1
            elif name == "renewal.date":
                assert change["evidence"]["renews_on"] == change["new"]
                seen += 1
        assert seen > 10
        with store.transaction() as conn:
            conn.execute("UPDATE usage_metric SET value = value * 3")
    assert invoke("evaluate").exit_code == 0
    again = json.loads(invoke("plan", "--show", plan["plan"], "--json").stdout)
    assert again["changes"] == plan["changes"]
