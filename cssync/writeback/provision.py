"""Provision: have the vendor create the fields that the mapping writes to. Never deletes, never retypes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cssync.config.workspace import Workspace, Writeback
from cssync.connectors.contract import Connector, Finding, OwnField
from cssync.connectors.session import Session
from cssync.errors import CssyncError
from cssync.writeback.plan import mapped_types

if TYPE_CHECKING:
    from cssync.rules import RuleSet, WrittenField


def own_fields(back: Writeback, known: Mapping[str, WrittenField]) -> list[OwnField]:
    """Return the fields of one connection's mapping, as the rule packs describe the results behind them."""
    return [
        OwnField(
            name=field,
            label=known[result].label,
            type=known[result].type,
            options=tuple(known[result].options),
            description=known[result].description,
        )
        for field, result in back.fields.items()
    ]


def provision(
    workspace: Workspace,
    sessions: Mapping[str, Session | CssyncError],
    rules: RuleSet,
    *,
    dry_run: bool,
    only: str | None = None,
) -> list[tuple[str, Finding]]:
    """Create what is missing on every connection that is written to, or on connection `only`.

    That is the fields of the mapping, and those by which tasks of ours are known. With `dry_run` say what would be
    created. Returns (connection, finding) pairs; a connection that fails is one finding of level `error`.

    Raises:
        ConfigError: the mapping names a result that no pack has; nothing was created.
    """
    from cssync.rules import written_fields

    mapped_types(workspace, rules)
    known = written_fields(rules)
    wanted = {
        name: own_fields(back, known) for name, back in workspace.writeback.items() if only is None or name == only
    }
    found: list[tuple[str, Finding]] = []
    for name, fields in wanted.items():
        connector, session = workspace.connections[name].connector, sessions[name]
        if isinstance(session, CssyncError):
            found.append((name, Finding(name, "error", session.message, session.fix)))
        elif connector.provision is None:
            note = f"connector {connector.name} cannot create fields"
            found.append(
                (name, Finding(name, "note", note, "create them by hand: " + ", ".join(f.name for f in fields)))
            )
        else:
            for stream, wished in _streams(connector, workspace.writeback[name], fields):
                try:
                    findings = list(connector.provision(session, stream, wished, dry_run))
                except CssyncError as fault:
                    findings = [Finding(name, "error", fault.message, fault.fix)]
                own = stream == workspace.writeback[name].to
                found.extend((name, finding if own else _optional(finding)) for finding in findings)
    return found


def _optional(finding: Finding) -> Finding:
    """A key field that cannot be had is no error: tasks carry their key in their text then."""
    return replace(finding, level="warning") if finding.level == "error" else finding


def _streams(
    connector: Connector, back: Writeback, fields: Sequence[OwnField]
) -> Iterator[tuple[str, Sequence[OwnField]]]:
    """Yield the streams whose records get fields: the one written to, and tasks and opportunities where the connector
    marks its own."""
    if fields:
        yield back.to, fields
    for wanted, entity, own in (
        (back.tasks, "crm_task", connector.task_fields),
        (bool(back.opportunities), "opportunity", connector.opportunity_fields),
    ):
        stream = next((s.name for s in connector.streams if s.entity == entity), None)
        if wanted and stream and own:
            yield stream, own
