"""What people write into our tasks is theirs: told from what we wrote there, and never written over."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, replace
from typing import Literal

from cssync.connectors.contract import RemoteTask
from cssync.writeback.outbox import UNDO, Entry
from cssync.writeback.tasks import comment_for

COMMENTED = "a person wrote into this task: it got a comment and stays open, theirs to close"


def whose(entry: Entry, task: RemoteTask) -> Literal["ours", "theirs", "unknown"]:
    """Return whose the text of a task is, as found: theirs when it holds other words than we last wrote; unknown where
    this store does not know what it wrote. A text that is gone, or only lost our key, is ours to write again."""
    rest = _folded(task.text)
    if not rest or entry.content.is_opportunity:
        return "ours"
    old = entry.old or {}
    if "body" not in old:
        return "unknown"
    for part in (old["body"], old.get("note"), f"cssync:{entry.field}"):
        rest = rest.replace(_folded(part or ""), "")
    return "theirs" if rest else "ours"


def commenting(entry: Entry, task: RemoteTask | None, locale: str) -> Entry:
    """Return the entry as it is carried out: a task that a person wrote into gets a comment instead of being closed."""
    if entry.action != "close_task" or task is None or task.status == "done" or whose(entry, task) != "theirs":
        return entry
    content = entry.content
    why = entry.because if entry.result_name == UNDO else content.note or content.subject
    note = comment_for(locale, why)
    told = replace(content, status="open", note=note, comment_only=True)
    return replace(entry, new=asdict(told))


def _folded(text: str) -> str:
    """Without spaces and case, which vendors change on their way."""
    return "".join(unicodedata.normalize("NFC", text).casefold().split())
