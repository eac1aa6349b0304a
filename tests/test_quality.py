from __future__ import annotations

from pathlib import Path

import pytest

from cssync.connectors.quality import LADDER, page, standing

ROOT = Path(__file__).parents[1]
FILES = sorted(ROOT.glob("plugins/*/quality.toml"))


@pytest.mark.parametrize("path", FILES, ids=[p.parent.name for p in FILES])
def test_every_connector_says_where_it_stands(path: Path) -> None:
    assert set(standing(path)) == {rule for rules in LADDER.values() for rule in rules}


def test_every_connector_of_ours_has_such_a_file() -> None:
    assert [p.parent for p in FILES] == sorted(p for p in (ROOT / "plugins").iterdir() if p.is_dir())


@pytest.mark.parametrize("wrong", ['invented = "done"', 'scopes-listed = "maybe"', 'scopes-listed = { exempt = " " }'])
def test_unknown_rules_and_bare_exemptions_are_refused(tmp_path: Path, wrong: str) -> None:
    rules = {rule: f'{rule} = "done"' for level in LADDER.values() for rule in level}
    rules[wrong.partition(" ")[0]] = wrong
    (tmp_path / "quality.toml").write_text("\n".join(rules.values()), encoding="utf-8")
    with pytest.raises(ValueError, match=r"unknown|exemption with its reason"):
        standing(tmp_path / "quality.toml")


def test_the_page_is_generated_from_the_files() -> None:
    assert (ROOT / "docs" / "connectors.md").read_text(encoding="utf-8") == "\n".join(page(FILES)) + "\n"
