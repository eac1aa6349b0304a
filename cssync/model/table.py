"""What a table of cssync's own is declared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cssync.model.columns import Column, col


@dataclass(frozen=True, slots=True)
class Past:
    """How a table is put back to what it was, for a replay (`cssync.store.past`).

    clock: `evaluation`, as it stood before the evaluation of a given as_of; `between`, as that evaluation found it, for
    what others write between two of them; `known`, as it was known at an instant; `recorded`, from the row that the
    evaluation itself left; `apart`, rules never look at it and a replay has it empty.
    born: column with the instant at which the row was first written; without one each insert is journaled, too.
    stamp: column that a change sets to its instant, for the clock `known`. watch: columns whose change counts, all of
    them by default. grows: rows are only ever added, so nothing has to be journaled.
    """

    clock: Literal["evaluation", "between", "known", "recorded", "apart"] = "evaluation"
    born: str = ""
    stamp: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    grows: bool = False


STATE = Past()
"""State that evaluations keep: all changes are journaled. A new table is taken for that unless it says otherwise."""
APART = Past("apart")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of cssync's own state or results; `key` is its primary key, `past` how it goes back in time."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = field(default=())
    past: Past = STATE


RUN_ID = col("run_id", "text", "run that wrote it")
SINCE = col("since", "instant", "as_of at which this value first held")
