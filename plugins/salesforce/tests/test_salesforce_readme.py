"""What the README promises is what the connector declares."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from cssync.config.load import load_workspace
from cssync_salesforce.connector import SALESFORCE
from cssync_salesforce.line_items import LINE_ITEMS
from cssync_salesforce.settings import API_VERSION, SalesforceSettings
from cssync_salesforce.streams import object_of

FOLDER = Path(__file__).parents[1]
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_every_stream_is_in_the_table_with_its_object_and_entities() -> None:
    (table,) = re.findall(r"^\| stream \| object .*\n((?:\|.*\n)+)", README, re.MULTILINE)
    rows = dict(re.findall(r"^\| `(\w+)`(?:, if on)? \| (.+) \|$", table, re.MULTILINE))
    streams = (*SALESFORCE.streams, LINE_ITEMS)
    assert set(rows) == {s.name for s in streams}
    for stream in streams:
        assert rows[stream.name].startswith(f"{object_of(stream.name)} | {', '.join(f.entity for f in stream.feeds)}")


def test_the_example_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "cssync.yaml"
    path.write_text(f"workspace: acme\ntimezone: Asia/Tokyo\ncurrency: JPY\nstore: cssync.db\n{example}")
    workspace = load_workspace(path, secrets=False)
    sales = workspace.connection("sales")
    assert sales.mapped["contracts"]["Seats__c"] == "contract_line.quantity"
    assert sales.stream("Product_Usage__c") is not None
    assert workspace.writeback["sales"].to == "accounts"


def test_version_and_settings_are_those_of_the_code() -> None:
    assert f"REST API {API_VERSION}" in README
    for name in ("instance_url", "client_id", "client_secret"):
        assert f"    {name}: " in README
        assert name in SalesforceSettings.model_fields


def test_the_ladder_says_done_todo_or_why_not() -> None:
    ladder = tomllib.loads((FOLDER / "quality.toml").read_text(encoding="utf-8"))
    assert "contract-checks-pass" in ladder
    for rule, state in ladder.items():
        assert state in ("done", "todo") or (isinstance(state, dict) and state.get("exempt")), rule
