"""The README's example is a configuration that loads, and its numbers are those of the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from cssync.config.load import load_workspace
from cssync_zendesk.settings import SCOPE
from cssync_zendesk.streams import STREAMS

FOLDER = Path(__file__).parents[1]
README = (FOLDER / "README.md").read_text()


def test_the_example_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "cssync.yaml"
    path.write_text(f"workspace: acme\ntimezone: Asia/Tokyo\ncurrency: JPY\nstore: cssync.db\n{example}")
    workspace = load_workspace(path, secrets=False)
    desk = workspace.connection("desk")
    assert desk.mapped["tickets"] == {"custom_fields.46406130043793": "ticket.category"}
    assert workspace.writeback["desk"].to == "organizations"


def test_scopes_and_streams_are_those_of_the_code() -> None:
    assert all(f"`{scope}`" in README for scope in SCOPE.split())
    assert all(f"| `{stream.name}` |" in README for stream in STREAMS)


def test_every_rule_of_the_ladder_is_judged() -> None:
    ladder = tomllib.loads((FOLDER / "quality.toml").read_text())
    assert all(
        v in ("done", "todo") or (isinstance(v, dict) and list(v) == ["exempt"] and v["exempt"])
        for v in ladder.values()
    )
