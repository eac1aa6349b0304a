from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from cssync import rules as language
from cssync.connectors import Feed, Finding, OwnField, Session, Stream
from cssync.errors import ConfigError, ConnectionFault
from cssync.store import Store
from cssync.writeback import plan as planning
from cssync.writeback.apply import apply_plan
from cssync.writeback.failures import failing, forget, lift
from cssync.writeback.provision import provision
from fake_crm import AS_OF, Crm, account, pulled, result, sessions, workspace

FIELDS = {"cs_score": "health.score", "cs_flags": "risk.flags"}


@dataclass(frozen=True)
class Written:
    """A result as the rule packs describe it."""

    type: str
    options: tuple[str, ...] = ()
    label: str = "Label"
    description: str = "Set by cssync."


@pytest.fixture(autouse=True)
def _packs(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"health.score": Written("integer"), "risk.flags": Written("multi", ("K01", "K03"))}
    monkeypatch.setattr(language, "written_fields", lambda rules: known, raising=False)


def run(tmp_path: Path, fields: dict[str, str], create: Any, opened: Any = None, **options: Any) -> list[Any]:
    space = workspace(tmp_path, {"crm": Crm()}, fields=fields, connector={"provision": create})
    rules: Any = None
    return provision(space, opened or sessions(space), rules, **{"dry_run": False, **options})


def test_the_connector_gets_every_mapped_field_as_the_packs_describe_it(tmp_path: Path) -> None:
    asked: list[tuple[str, Sequence[OwnField], bool]] = []

    def create(session: Session, stream: str, fields: Sequence[OwnField], dry_run: bool) -> Iterator[Finding]:
        asked.append((stream, fields, dry_run))
        yield from (Finding(f.name, "would-create", f.label) for f in fields)

    found = run(tmp_path, FIELDS, create, dry_run=True)
    assert [(name, f.subject, f.level) for name, f in found] == [
        ("crm", "cs_score", "would-create"),
        ("crm", "cs_flags", "would-create"),
    ]
    assert asked == [
        (
            "companies",
            [
                OwnField("cs_score", "Label", "integer", (), "Set by cssync."),
                OwnField("cs_flags", "Label", "multi", ("K01", "K03"), "Set by cssync."),
            ],
            True,
        )
    ]


@pytest.mark.parametrize(("tasks", "streams"), [(True, ["companies", "tasks"]), (False, ["companies"])])
def test_the_fields_by_which_tasks_are_known_are_provided_where_tasks_are_written(
    tmp_path: Path, tasks: bool, streams: list[str]
) -> None:
    asked: list[tuple[str, Sequence[OwnField]]] = []

    def create(session: Session, stream: str, fields: Sequence[OwnField], dry_run: bool) -> Iterator[Finding]:
        asked.append((stream, fields))
        if stream == "companies":
            raise ConnectionFault("not allowed")  # no reason to leave the tasks out
        yield Finding(f"{stream}.{fields[0].name}", "created", "text")

    key = OwnField("cs_key", "Key", "text")
    crm = Crm()
    both = (
        Stream("companies", (Feed("account_source", {"name": "name"}),), pages=crm.pages),
        Stream("tasks", (Feed("crm_task", {"task_key": "key"}),), pages=crm.pages),
    )
    connector = replace(crm.connector(provision=create), streams=both, task_fields=(key,))
    space = workspace(tmp_path, {"crm": crm}, fields=FIELDS, tasks=tasks)
    space = replace(space, connections={"crm": replace(space.connection("crm"), connector=connector, streams=both)})
    rules: Any = None
    found = provision(space, sessions(space), rules, dry_run=False)
    assert [stream for stream, _ in asked] == streams
    assert asked[1:] == [("tasks", (key,))][: len(streams) - 1]
    assert [f.level for _, f in found] == ["error", "created"][: len(streams)]


def test_a_mapping_to_a_result_that_no_pack_has_stops_before_anything_is_created(tmp_path: Path) -> None:
    def create(*args: Any) -> Iterator[Finding]:
        pytest.fail("nothing may be created")

    with pytest.raises(ConfigError, match=r"no loaded rule pack has crm\.cs_typo: health\.skore") as refused:
        run(tmp_path, {**FIELDS, "cs_typo": "health.skore"}, create)
    assert "health.score, risk.flags" in refused.value.fix


def test_faults_are_findings_of_their_connection(tmp_path: Path) -> None:
    def refuse(*args: Any) -> Iterator[Finding]:
        raise ConnectionFault("403: scope crm.schemas.companies.write is missing", fix="grant it")

    for create, opened, level, words in (
        (refuse, None, "error", "scope"),
        (refuse, {"crm": ConnectionFault("unreachable")}, "error", "unreachable"),
        (None, None, "note", "cannot create fields"),
    ):
        ((name, finding),) = run(tmp_path, FIELDS, create, opened)
        assert (name, finding.level) == ("crm", level)
        assert words in finding.message


def test_a_field_that_was_created_lifts_the_refusals_it_caused(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db") as store:
        account(store, "a-1")
        with store.transaction() as conn:
            conn.executemany(
                "INSERT INTO outbox (key, plan_id, seq, connection, stream, source_id, account_uid, action, field, "
                "old, new, state, attempts, run_id) VALUES (?, 'p', ?, 'crm', 'companies', '1', 'a-1', 'set', ?, "
                "'null', '1', 'failed-permanent', 1, 'r')",
                [("p/0", 0, "cs_score"), ("p/1", 1, "other")],
            )
        assert lift(store, "crm", tuple(FIELDS)) == 1
        assert [(e.field, e.state, e.attempts) for e in failing(store)] == [
            ("cs_score", "failed-retry", 0),
            ("other", "failed-permanent", 1),
        ]


def test_what_was_written_to_a_field_that_is_made_again_is_no_persons_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: {"health.band": "enum"})
    crm, rules = Crm({"1": {}}), cast(Any, None)
    with Store.open(tmp_path / "store.db") as store:
        account(store, "a-1")
        result(store, "a-1", "health.band", "red")
        space = workspace(tmp_path, {"crm": crm}, fields={"cs_band": "health.band"})

        def plan(run: str) -> planning.Plan:
            pulled(store, crm)
            return planning.make_plan(store, space, rules, AS_OF, run_id=run)

        first = plan("r1")
        assert apply_plan(store, space, first.id, sessions(space), run_id="r1").exit_code == 0
        del crm.companies["1"]["cs_band"]  # an admin deletes the field: pulls do not read it any more
        gone = plan("r2")
        assert (gone.changes, gone.notes) == ((), ())
        crm.companies["1"]["cs_band"] = None
        assert [n.kind for n in plan("r3").notes] == ["conflict"]
        forget(store, "crm", ["cs_band"])  # as `cssync provision` does, when it creates the field
        filled = plan("r4")
        assert [(c.field, c.new) for c in filled.changes] == [("cs_band", "red")]
        assert apply_plan(store, space, filled.id, sessions(space), run_id="r4").exit_code == 0, "not a write repeated"
        assert crm.companies["1"]["cs_band"] == "red"


def test_a_key_field_that_cannot_be_had_is_a_warning_and_no_error(tmp_path: Path) -> None:
    crm = Crm()

    def provide(session: Any, stream: str, fields: Sequence[OwnField], dry_run: bool) -> Iterator[Finding]:
        if stream == "tasks":
            raise ConnectionFault("this edition has no such field")
        yield Finding("companies", "ok", "all there")

    space = workspace(tmp_path, {"crm": crm}, fields=FIELDS, tasks=True)
    key = OwnField("key", "Key", "text")
    made = replace(
        space.connections["crm"].connector,
        provision=provide,
        task_fields=(key,),
        streams=(
            *space.connections["crm"].connector.streams,
            Stream("tasks", (Feed("crm_task", {"task_key": "key"}),), pages=crm.pages),
        ),
    )
    space = replace(space, connections={"crm": replace(space.connections["crm"], connector=made)})
    rules: Any = None
    found = provision(space, sessions(space), rules, dry_run=False)
    assert [finding.level for _, finding in found] == ["ok", "warning"]
