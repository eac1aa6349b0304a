"""Turn an error into words on stderr and an exit code."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from cssync.errors import CssyncError


def complain(error: Exception, args: Sequence[str]) -> int:
    """Write `error` to stderr and return the exit code it stands for.

    A CssyncError and a usage error are three lines without a traceback (`-v` adds it); anything else is a bug and
    shows its traceback. With `--json` among `args` it is one JSON document, still on stderr: stdout stays data.
    """
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return 2
    told = _told(error)
    verbose = any(a == "--verbose" or (a.startswith("-v") and not a.strip("-v")) for a in args)
    bug = told["kind"] == "bug"
    if "--json" in args:
        if bug or verbose:
            told["traceback"] = _trace(error)
        _write(json.dumps({"version": 1, "error": told}, ensure_ascii=False))
    else:
        if bug or verbose:
            _write(_trace(error))
        lines = [("error", told["message"]), ("  kept", told["kept"]), ("  fix", told["fix"])]
        _write("\n".join(f"{label}: {text}" for label, text in lines if text))
    return int(told["exit_code"])


def _told(error: Exception) -> dict[str, Any]:
    if isinstance(error, CssyncError):
        told: dict[str, Any] = {"kind": type(error).__name__, "message": error.message}
        faults = getattr(error, "faults", ())
        if faults:
            told["faults"] = [fault.as_dict() for fault in faults]
        return {**told, "kept": error.kept, "fix": error.fix, "exit_code": error.exit_code}
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "cssync"
        message = error.format_message().rstrip(".")
        fix = f"`{path} --help` shows the usage and an example"
        return {"kind": "UsageError", "message": message, "kept": "", "fix": fix, "exit_code": error.exit_code}
    return {
        "kind": "bug",
        "message": f"this is a bug in cssync or a plugin: {type(error).__name__}: {error}",
        "kept": "what was committed before it stays; the next run resumes there",
        "fix": "report it with the traceback above",
        "exit_code": 1,
    }


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error)).rstrip()


def redacted(text: str) -> str:
    """Return the text with every secret known to this process blotted out.

    Where nobody has loaded the module that knows them, there are none.
    """
    redaction = sys.modules.get("cssync.http.redaction")
    return str(redaction.redact(text)) if redaction else text


def _write(text: str) -> None:
    click.echo(redacted(text), err=True)
