"""docs/configuration.md says what the models say, and the examples load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cssync.config import Limits
from cssync.config.load import load_workspace
from cssync.config.raw import RawLimits, RawWorkspace, RawWriteback
from cssync.config.reference import OURS, SHOWN, nested, reference
from cssync.connectors import ConnectionSettings
from cssync.plugins import plugins

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"
DESIGN = ROOT.parent / "shared" / "design" / "architecture.md"


def test_the_page_is_what_the_models_generate() -> None:
    assert PAGE.read_text() == "\n".join(reference()) + "\n", (
        "python -m cssync.config.reference > docs/configuration.md"
    )


def test_every_setting_is_described() -> None:
    models = [RawWorkspace, RawWriteback, RawLimits, ConnectionSettings]
    models += [plugins().connector(name).config for name in OURS]
    models += [m for model in models for f in model.model_fields.values() for m in nested(f.annotation)]
    for model in models:
        for key, info in model.model_fields.items():
            assert info.description, f"{model.__name__}.{key}"


def test_the_defaults_shown_are_the_defaults_in_force() -> None:
    assert SHOWN[RawLimits, "changes"][1] == f"`{Limits().changes:.0%}`"
    assert SHOWN[RawLimits, "share"][1] == f"`{Limits().share:.0%}`"


def test_the_example_on_the_page_loads(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(workspace:.*?)```", PAGE.read_text(), re.DOTALL)
    assert example
    (tmp_path / "cssync.yaml").write_text(example[1])
    workspace = load_workspace(tmp_path / "cssync.yaml", secrets=False)
    assert list(workspace.connections) == ["crm", "sales", "desk"]


def test_the_file_of_the_architecture_loads_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not DESIGN.exists():
        pytest.skip("the design files are not beside this checkout")
    example = re.search(r"```yaml\n(# cssync\.yaml\n.*?)```", DESIGN.read_text(), re.DOTALL)
    assert example
    secret = tmp_path / "salesforce"
    secret.write_text("secret-of-sales\n")
    secret.chmod(0o600)
    (tmp_path / "cssync.yaml").write_text(example[1].replace("/run/secrets/salesforce", str(secret)))
    for name in ("HUBSPOT_TOKEN", "SALESFORCE_CLIENT_ID", "ZENDESK_TOKEN"):
        monkeypatch.setenv(name, f"value-of-{name}")
    workspace = load_workspace(tmp_path / "cssync.yaml")
    assert workspace.connection("sales").settings.client_secret.get_secret_value() == "secret-of-sales"  # type: ignore[attr-defined]
    assert workspace.connection("crm").mapped["companies"] == {
        "renewal_date": "contract.end_date",
        "seats": "contract_line.quantity",
    }
    assert workspace.masters == {"account.name": "sales", "contract": "sales"}
    assert workspace.rules == ("standard", tmp_path / "rules")
    assert workspace.writeback["crm"].policy == "unless-edited"
    assert workspace.limits == Limits()
