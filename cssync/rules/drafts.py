"""What a report would say to others: a message of the whole of it, or an issue of each line, once a month."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace

from cssync.rules.reporting import Table
from cssync.rules.reports import Report

LONGEST = 40
"""Letters of a group's name in the name of a file."""


def drafted(report: Report, table: Table) -> Iterator[tuple[str, Table]]:
    """Yield (file name, table) of the drafts of a report; none while it has no line, or rests on a source that is not
    fresh: nothing is told to others that the next pull may change.

    The name is made of the report, the group and the month of `table.as_of`: the same thing has one draft a month.
    """
    if table.state != "ok":
        return
    month = table.as_of[:7]
    if report.drafts == "one" and table.rows:
        yield f"{table.report}-{month}.md", table
    for row in table.rows if report.drafts == "each" else ():
        group = [str(row[g.name]) for g in report.by]
        title = f"{table.title}: {', '.join(group)}"
        yield f"{table.report}-{_slug(group)}-{month}.md", replace(table, title=title, rows=(row,), more=0)


def _slug(group: list[str]) -> str:
    """A part of a file name that people can read and no two groups share, whatever letters are in them."""
    words = re.sub(r"[^a-z0-9]+", "-", " ".join(group).lower()).strip("-")[:LONGEST].strip("-")
    digest = hashlib.blake2b("\x1f".join(group).encode(), digest_size=4).hexdigest()
    return f"{words}-{digest}" if words else digest
