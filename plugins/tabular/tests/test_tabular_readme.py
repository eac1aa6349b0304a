"""The README's examples are configurations that load, and every rule of the ladder is judged."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from cssync.config.load import load_workspace
from cssync.connectors.testing import assert_connector_keeps_contract
from cssync_tabular import TABULAR
from cssync_tabular.settings import Table, TabularSettings

FOLDER = Path(__file__).parents[1]
README = (FOLDER / "README.md").read_text()
LADDER = Path(__file__).parents[2] / "zendesk" / "quality.toml"


def test_tabular_keeps_the_connector_contract() -> None:
    assert_connector_keeps_contract(TABULAR)


def test_the_examples_load_with_the_streams_they_name(tmp_path: Path) -> None:
    streams = []
    for example in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL):
        path = tmp_path / "cssync.yaml"
        path.write_text(f"workspace: acme\ntimezone: Asia/Tokyo\ncurrency: JPY\nstore: cssync.db\n{example}")
        workspace = load_workspace(path, secrets=False)
        (connection,) = workspace.connections.values()
        streams.append([(s.name, s.entity, s.whole) for s in connection.streams])
    assert streams == [
        [("customers", "account_source", True), ("usage", "usage_metric", False)],
        [("customers", "account_source", True), ("contracts", "contract", True), ("invoices", "invoice", True)],
    ]


def test_numbers_are_those_of_the_code() -> None:
    assert f"`lag` ({Table.model_fields['lag'].default}:" in README
    assert f"{TabularSettings.model_fields['page_size'].default:,} rows" in README


def test_every_rule_of_the_ladder_is_judged() -> None:
    ladder = tomllib.loads((FOLDER / "quality.toml").read_text())
    assert list(ladder) == list(tomllib.loads(LADDER.read_text()))
    assert all(
        v in ("done", "todo") or (isinstance(v, dict) and list(v) == ["exempt"] and v["exempt"])
        for v in ladder.values()
    )
