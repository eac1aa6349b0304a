"""What was taken out of the rules is named together with everything that still needs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from cssync.config import Workspace
from cssync.config.workspace import Writeback
from cssync.errors import ConfigError
from cssync.rules import load_folders
from cssync.rules.removal import check_rules, declared, sketched, told
from cssync.store import Store
from past_world import PastWorld

STANDARD = load_folders([("standard", files("cssync_rules"))])
BASE = """pack: base
features:
  urgent: {count: tickets, where: status = 'open' and priority = 'urgent'}
  twice: urgent * 2
results:
  size: {value: urgent, label: Size, describe: Open ones.}
"""
OTHER = """pack: other
score:
  measures:
    m1: {weight: 1, curve: {of: twice, at: {0: 100, 10: 0}}}
  bands: {red: 0, yellow: 50, green: 75}
signals:
  S1: {when: urgent > 0, because: "{urgent} open"}
tasks:
  T1: {when: urgent > 1, once_per: episode, title: "See {name}", body: "{urgent}", due: in 3 business days, owner: csm}
"""


@pytest.fixture
def ran(tmp_path: Path) -> Iterator[tuple[Workspace, Store, Path]]:
    """A workspace whose two packs ran once."""
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "base.yaml").write_text(BASE, encoding="utf-8")
    (folder / "other.yaml").write_text(OTHER, encoding="utf-8")
    with Store.open(tmp_path / "store.db") as store:
        world = PastWorld(store, load_folders([("rules", folder)]))
        world.day()
        yield replace(world.space, rules=(folder,)), store, folder


def edit(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), encoding="utf-8")


def test_rules_that_stayed_as_they_are_lost_nothing(ran: tuple[Workspace, Store, Path]) -> None:
    space, store, _ = ran
    assert check_rules(space, store)[1] == []
    assert check_rules(space, None)[1] == []


def test_the_sketch_of_a_file_has_every_name_that_the_file_declares() -> None:
    assert set(declared(STANDARD)) - set(sketched(STANDARD.sources)) == set()


def test_a_renamed_feature_names_all_that_need_it(ran: tuple[Workspace, Store, Path]) -> None:
    space, store, folder = ran
    edit(folder, "base.yaml", "  urgent:", "  pressing:")
    with pytest.raises(ConfigError) as found:
        check_rules(space, store)
    text = found.value.message
    assert "rules/other.yaml" in text
    assert "there is no feature or column 'urgent'" in text
    assert (
        "feature urgent (pack base) is still needed by feature twice of pack base, result size of pack base, "
        "signal S1 of pack other, task T1 of pack other"
    ) in text


def test_a_removed_result_that_is_written_names_its_field(ran: tuple[Workspace, Store, Path]) -> None:
    space, store, folder = ran
    space = replace(space, writeback={"crm": Writeback("crm", "companies", {"cs_size": "base.size"})})
    edit(folder, "base.yaml", "  size:", "  extent:")
    with pytest.raises(ConfigError, match=r"result base\.size is still needed by writeback\.crm\.fields\.cs_size"):
        check_rules(space, store)


def test_what_nobody_needs_may_go_and_is_told(ran: tuple[Workspace, Store, Path]) -> None:
    space, store, folder = ran
    open_ = store.query("SELECT count(*) FROM signal WHERE name = 'S1' AND until IS NULL")[0][0]
    assert open_ > 0
    edit(
        folder,
        "other.yaml",
        '  S1: {when: urgent > 0, because: "{urgent} open"}',
        '  S2: {when: urgent > 0, because: "x"}',
    )
    rules, gone = check_rules(space, store)
    assert [(r.kind, r.name, r.ends) for r in gone] == [("signal", "other.S1", open_)]
    assert list(told(gone, rules)) == [
        f"removed since the rules last ran: signal other.S1: {open_} open end with the next evaluation"
    ]


def test_a_file_that_cannot_be_read_is_not_taken_for_removed_rules(ran: tuple[Workspace, Store, Path]) -> None:
    space, store, folder = ran
    (folder / "base.yaml").write_text(BASE + "accounts: 'open\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"base\.yaml:7:11: this is not YAML: this text is not closed") as error:
        check_rules(space, store)
    assert "removed or renamed" not in error.value.message
    (folder / "base.yaml").write_text(BASE + "k: x\n" * 80, encoding="utf-8")
    with pytest.raises(ConfigError, match="more than 50 faults"):
        check_rules(space, store)


MORE = """pack: more
features:
  was: {past: base.size, ago: 3d}
score:
  measures:
    m1: {weight: 1, curve: {of: days_since(first_contract_date), at: {0: 100, 10: 0}}}
  models:
    large: {when: twice > 9, weights: {m1: 2}}
  bands: {red: 0, yellow: 50, green: 75}
reports:
  sizes: {of: accounts, where: base.size > 0, columns: {n: {count: rows}}}
"""


def test_models_reports_and_the_past_of_a_result_need_what_they_name(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "more.yaml").write_text(MORE, encoding="utf-8")
    with Store.open(tmp_path / "store.db") as store:
        world = PastWorld(store, load_folders([("rules", tmp_path)]))
        world.day()
        edit(tmp_path, "base.yaml", "  twice:", "  double:")
        edit(tmp_path, "base.yaml", "  size:", "  extent:")
        with pytest.raises(ConfigError) as error:
            check_rules(replace(world.space, rules=(tmp_path,)), store)
    assert "feature twice (pack base) is still needed by model large of pack more" in error.value.message
    assert (
        "result base.size is still needed by feature was of pack more, report sizes of pack more" in error.value.message
    )
