"""Twin runs: a vendor and a store as they are before our first write, once undisturbed and once with a fault.

Both must end with the same world at the vendor, the same write journal (`ledger`), and a store that says so.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cssync.plugins import plugins
from cssync.writeback.canonical import kind_of, same
from ledger import Row
from office import UPDATES, WORLD, Office, furnish, served


@dataclass(frozen=True)
class Twin:
    """A vendor before our first write (`app`, pickled, and the store beside it), and what an undisturbed run makes of
    it: the world, the journal, and the requests it sent (`METHOD path`)."""

    vendor: str
    app: bytes
    store: Path
    world: Any
    journal: list[Row]
    requests: tuple[str, ...]

    @contextmanager
    def disturbed(self, folder: Path, **options: Any) -> Iterator[Office]:
        """Open the other twin in `folder`; options as of `served`."""
        shutil.copy(self.store, folder / "cssync.db")
        app = pickle.loads(self.app)  # noqa: S301 - our own bytes; four times as fast as a deep copy
        with served(folder, self.vendor, app, **options) as office:
            yield office

    def row(self, number: int, name: str) -> Row:
        """The journal's row of one field (a part of its name) of the n-th record."""
        return [row for row in self.journal if name in row[1].casefold()][number]

    def must_equal(self, office: Office, *, but: Mapping[str, Any] | None = None, more: Sequence[Row] = ()) -> None:
        """World and journal are those of the undisturbed run, the store knows them, and one more run writes nothing.

        but: record -> fields that hold something else, by a person's or an automation's doing. more: rows that the
        journal has beside.
        """
        office.server.faults.clear()
        office.clock.sleep(1500)  # what the vendor still had to do for us is done, or shown
        fields, *tasks = office.world()
        wanted = {key: {**held, **(but or {}).get(key, {})} for key, held in self.world[0].items()}
        assert (fields, tasks) == (wanted, list(self.world[1:]))
        assert office.ledger.journal == sorted([*self.journal, *more])
        for row in office.store.query("SELECT source_id, field, value FROM written WHERE remote_id IS NULL"):
            held, value = fields[row["source_id"]][row["field"]], json.loads(row["value"])
            ours = row["field"] not in (but or {}).get(row["source_id"], {})
            assert same(held, value, kind_of(held, value)) or not ours
        app: Any = office.server.app
        assert not getattr(getattr(app, "desk", None), "mails", []), "no customer gets a mail"
        before = len(office.ledger.rows)
        assert office.run()
        assert len(office.ledger.rows) == before, "a further run writes nothing"


def undisturbed(folder: Path, vendor: str) -> Twin:
    """Make a vendor and a store, keep both, and run once without a fault."""
    make_app = plugins().connector(vendor).sandbox
    assert make_app is not None
    app: Any = make_app(WORLD)
    with served(folder, vendor, app) as office:
        furnish(office)
    app.clock = None
    if vendor == "hubspot":
        app.portal.clock = None
    before = pickle.dumps(app, -1)
    shutil.copy(folder / "cssync.db", folder / "before.db")
    with served(folder, vendor, app) as office:
        assert office.run()
        sent = tuple(f"{entry.method} {entry.path}" for entry in office.server.journal)
        fields, tasks, count = world = office.world()
        journal = office.ledger.journal
    assert len(fields) > 3
    assert all(value is not None for held in fields.values() for value in held.values())
    assert count == len(tasks) == 3
    assert len(journal) == len(set(journal)) == sum(map(len, fields.values())) + count, "each value once"
    return Twin(vendor, before, folder / "before.db", world, journal, sent)


def all_undisturbed(folder: Callable[[str], Path]) -> dict[str, Twin]:
    """The undisturbed run of each vendor; `folder` makes an empty folder of a name."""
    return {vendor: undisturbed(folder(vendor), vendor) for vendor in UPDATES}


def come_through(office: Office, runs: int = 33, *, pull: bool = False, every: float = 60.0) -> int:
    """Run as cron would, until nothing is left to do; return how often. every: seconds between two runs."""
    for number in range(runs):
        if pull:
            office.pull()
        if office.run():
            return number + 1
        office.clock.sleep(every)
    left = office.store.query("SELECT field, state, error FROM outbox WHERE state <> 'verified'")
    pytest.fail(f"{runs} runs did not bring it through: {[dict(row) for row in left]}")
