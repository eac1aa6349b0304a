"""What `cssync check` looks at: connections (all at once), store, rules, write-back, limits."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from cssync.cli.context import did_you_mean
from cssync.config import Connection, Workspace
from cssync.connectors import Finding, Session
from cssync.connectors.contract import Identity
from cssync.errors import ConfigError, CssyncError, TransientFault
from cssync.runs.sessions import looking
from cssync.store import Store
from cssync.sync import drift

SECONDS = 25.0
"""Longest that all connections together may take; one that has not answered by then is a finding."""
PATIENCE = 10.0
"""Longest single wait for a vendor's limit while checking."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings about one part of the set-up: a connection, or `store`, `rules`, `writeback`, `limits`."""

    part: str
    findings: tuple[Finding, ...]
    identity: Identity | None = None

    @property
    def failed(self) -> bool:
        """Whether something must be put right before a run can succeed."""
        return any(f.level == "error" for f in self.findings)


def check_connections(workspace: Workspace, bound: Mapping[str, tuple[str, str]]) -> Iterator[Checked]:
    """Yield what each connection says of itself, in configuration order; they are asked at the same time.

    `bound` is connection -> (organisation id, kind) as the store knows it. Nothing is written anywhere.
    """
    answers: dict[str, Checked] = {}
    told: dict[str, list[Finding]] = {name: [] for name in workspace.connections}

    def ask(connection: Connection) -> None:
        name = connection.name
        answers[name] = _asked(workspace, connection, bound.get(name), told[name])

    threads = {
        name: threading.Thread(target=ask, args=(connection,), name=f"check-{name}", daemon=True)
        for name, connection in workspace.connections.items()
    }
    for thread in threads.values():
        thread.start()
    left = SECONDS
    for name, thread in threads.items():
        left = _join(thread, left)
        so_far = tuple(told[name])
        how = f"{'nothing more' if so_far else 'none'} within {SECONDS:.0f} s"
        late = Finding("answer", "error", how, "try again; check the network and `base_url`")
        yield answers.get(name) or Checked(name, (*so_far, late))


def _join(thread: threading.Thread, seconds: float) -> float:
    """Wait for the thread and return the seconds that are left for the others."""
    from time import monotonic

    started = monotonic()
    thread.join(max(0.0, seconds))
    return seconds - (monotonic() - started)


def _asked(
    workspace: Workspace, connection: Connection, bound: tuple[str, str] | None, findings: list[Finding]
) -> Checked:
    """Ask a connection; `findings` is filled as they come, so that they are known should it never end."""
    identity: Identity | None = None
    connector = connection.connector
    settings = connection.settings.model_copy(update={"patience": min(PATIENCE, connection.settings.patience)})
    try:
        with looking(workspace, connection, settings) as session:
            identity = connector.identity(session)
            findings.append(Finding("credentials", "ok", "accepted"))
            findings.append(_organisation(identity, bound))
            found = connector.check(session, named_fields(workspace, connection))
            findings.extend(_needed(workspace, connection, finding) for finding in found)
            findings.extend(_drifted(workspace, connection, session))
    except CssyncError as error:
        findings.append(_of_error("credentials" if identity is None else "check", error))
    except Exception as bug:  # noqa: BLE001 - a connector's bug must not hide the other connections
        text = f"the connector failed with {type(bug).__name__}: {bug}"
        findings.append(Finding("connector", "error", text, "report it to the connector's author"))
    return Checked(connection.name, tuple(findings), identity)


def _drifted(workspace: Workspace, connection: Connection, session: Session) -> Iterator[Finding]:
    """Yield what changed in the fields that are mapped since the last run; nothing is stored."""
    if not workspace.store.exists() or connection.connector.describe is None:
        return
    with Store.open(workspace.store, workspace=workspace.name, create=False) as store:
        for stream in connection.mapped:
            used = drift.uses(workspace, connection, stream)
            fields = drift.described(connection, session, stream)
            changed = drift.compare(store, connection.name, stream, fields, used)
            for found in drift.with_rules(workspace, (d for d in changed if d.used)):
                level: Literal["error", "note"] = "error" if found.stops else "note"
                yield Finding(f"{stream}.{found.field}", level, found.message, found.fix)


def _needed(workspace: Workspace, connection: Connection, finding: Finding) -> Finding:
    """A write right that is missing is an error where cssync.yaml writes."""
    back = workspace.writeback.get(connection.name)
    if back is None or finding.level != "warning":
        return finding
    needed = {f"{back.to} write-back", *(["tasks write-back"] if back.tasks else [])}
    return dataclasses.replace(finding, level="error") if finding.subject in needed else finding


def _organisation(identity: Identity, bound: tuple[str, str] | None) -> Finding:
    who = f"{identity.name} ({identity.kind}, {identity.org_id})"
    if bound is None or bound == (identity.org_id, identity.kind):
        return Finding("organisation", "ok", who)
    text = f"{who}, but the store holds data of {bound[0]} ({bound[1]})"
    return Finding("organisation", "error", text, "correct the credentials, or use another `workspace:` and `store:`")


def named_fields(workspace: Workspace, connection: Connection) -> dict[str, list[str]]:
    """Return stream -> vendor fields that the configuration reads or writes over this connection."""
    named = {stream: list(fields) for stream, fields in connection.mapped.items()}
    back = workspace.writeback.get(connection.name)
    if back is not None:
        named.setdefault(back.to, []).extend(back.fields)
    return named


def check_store(workspace: Workspace) -> tuple[Checked, dict[str, tuple[str, str]]]:
    """Return what is to be said about the store, and the organisations it is bound to. Nothing is created."""
    if not workspace.store.exists():
        return Checked("store", (Finding(str(workspace.store), "note", "will be created by the first run"),)), {}
    try:
        with Store.open(workspace.store, workspace=workspace.name, create=False) as store:
            rows = store.query("SELECT connection, org_id, org_kind FROM binding")
            accounts = store.query("SELECT count(*) FROM account WHERE deleted_at IS NULL")[0][0]
    except CssyncError as error:
        return Checked("store", (_of_error(str(workspace.store), error),)), {}
    bound = {row["connection"]: (row["org_id"], row["org_kind"]) for row in rows}
    return Checked("store", (Finding(str(workspace.store), "ok", f"{accounts:,} accounts"),)), bound


def check_rules(workspace: Workspace) -> Checked:
    """Return whether the rule packs load, and whether every result that is written back exists."""
    from cssync.cli.evaluate import RATES
    from cssync.cli.when import now
    from cssync.metrics.fx import load_rates
    from cssync.rules import load, written_fields
    from cssync.rules.calendar import local_date
    from cssync.rules.tiers import unrated

    try:
        rules = load(workspace)
    except CssyncError as error:
        return Checked("rules", (_of_error("packs", error),))
    outputs = set(written_fields(rules))
    findings = [Finding("packs", "ok", ", ".join(sorted(p.name for p in rules.packs)))]
    with contextlib.suppress(CssyncError):  # a file of rates that cannot be read is a finding of its own
        rates, day = load_rates(workspace), local_date(now(), workspace.timezone)
        findings.extend(
            Finding("touch tiers", "warning", f"unknown: {why}; tasks for tiers stay out", RATES)
            for pack in rules.packs
            if (why := unrated(pack.tiers, rates, day))
        )
    for back in workspace.writeback.values():
        for field, result in back.fields.items():
            if result not in outputs:
                text = f"no rule gives {result!r}{did_you_mean(result, outputs)}"
                findings.append(
                    Finding(f"writeback.{back.connection}.fields.{field}", "error", text, "correct cssync.yaml")
                )
    return Checked("rules", tuple(findings))


def check_fx(workspace: Workspace) -> tuple[Checked, ...]:
    """Return what is to be said about the file of exchange rates; nothing where none is named."""
    from cssync.metrics.fx import read_rates

    if workspace.fx is None:
        return ()
    try:
        rows = read_rates(workspace.fx)
    except CssyncError as error:
        return (Checked("fx", (_of_error(str(workspace.fx), error),)),)
    newest = f", the newest of {max(row.day for row in rows)}" if rows else ""
    return (Checked("fx", (Finding(str(workspace.fx), "ok", f"{len(rows):,} rates{newest}"),)),)


def check_limits(workspace: Workspace) -> Checked:
    """Return the start and the limits that are in force."""
    limits = workspace.limits
    brake = f"more than {limits.changes_count:,} records"
    if limits.changes < 1:
        brake = f"more than {_percent(limits.changes)} of a field's records, or {brake}"
    return Checked(
        "limits",
        (
            Finding("start", "ok", "everything the vendors hold is read; there is no start date"),
            Finding("brake", "ok", f"a plan that changes {brake} waits for approval"),
            Finding("share", "ok", f"{_percent(limits.share)} of each vendor's daily API calls"),
        ),
    )


def _percent(share: Decimal) -> str:
    return f"{(share * 100).normalize():f}%"


def _of_error(subject: str, error: CssyncError) -> Finding:
    message = error.message
    if isinstance(error, TransientFault) and error.resumes_at:
        message += f" (until {error.resumes_at})"
    fix = error.fix or ("correct cssync.yaml" if isinstance(error, ConfigError) else "see `cssync check -v`")
    return Finding(subject, "error", message, fix)
