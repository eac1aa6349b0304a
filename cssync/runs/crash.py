"""Runs that died without a word: closed at their last sign of life, with what they were reading then."""

from __future__ import annotations

import json
import logging
import sqlite3

log = logging.getLogger("cssync.runs")

READING = "SELECT connection || '.' || stream FROM run_stream WHERE run_id = ? AND outcome = 'at work' ORDER BY 1"
"""The streams that a run is reading, or was when it died."""


def close_dead(conn: sqlite3.Connection, at: str) -> None:
    """Close every run that is still open as `crashed` at instant `at`, and name the streams it was reading: where a
    connector takes the interpreter along (a fault in C code, `os.abort`), nobody else can."""
    for (run_id,) in conn.execute("SELECT id FROM run WHERE ended_at IS NULL ORDER BY id").fetchall():
        told = died([name for (name,) in conn.execute(READING, (run_id,))])
        summary = json.dumps({"version": 1, "error": told})
        conn.execute(
            "UPDATE run SET ended_at = ?, outcome = 'crashed', exit_code = 1, summary = ? WHERE id = ?",
            (at, summary, run_id),
        )
        closed = conn.execute(
            "UPDATE run_stream SET outcome = 'failed', error = ? WHERE run_id = ? AND outcome = 'at work'",
            (told, run_id),
        )
        if closed.rowcount:
            log.warning(
                "run %s: %s; it was killed, or a connector crashed. What it stored is kept. If it happens again, read "
                "these streams one by one (`cssync sync CONNECTION --stream STREAM`) and report the one that does it "
                "to its connector's author",
                *(run_id, told),
            )


def died(reading: list[str]) -> str:
    """Say what a process that is gone was doing."""
    return f"the process died while it read {', '.join(reading)}" if reading else "the process died"
