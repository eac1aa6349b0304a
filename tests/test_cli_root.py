"""The command tree, its help, and how errors become words and exit codes."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from cssync.cli import COMMANDS, context, main
from cssync.cli.complain import complain
from cssync.cli.context import columns, did_you_mean
from cssync.errors import ApprovalNeeded, ConfigError, CssyncError, LeaseHeld, TransientFault
from cssync.http.redaction import install

CANARY = "canary-5e7b2d90"
SHORT = {name: short for entries in COMMANDS.values() for name, _, short in entries}


def invoke(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


def tree(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below `command` with the words that call it."""
    context = click.Context(command)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, name
            yield (*path, name), found
            yield from tree(found, (*path, name))


@pytest.fixture(scope="module")
def commands() -> dict[tuple[str, ...], click.Command]:
    return dict(tree(main))


def test_every_command_argument_and_option_has_help(commands: dict[tuple[str, ...], click.Command]) -> None:
    for path, command in commands.items():
        assert command.help, path
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{' '.join(path)}: {parameter.name}"


def test_the_table_and_the_commands_say_the_same(commands: dict[tuple[str, ...], click.Command]) -> None:
    for name, short in SHORT.items():
        first = (commands[(name,)].help or "").partition("\n\n")[0].replace("\n", " ").strip()
        assert first.startswith(short.rstrip(".")), (name, first, short)


def test_every_command_shows_an_example_that_parses(commands: dict[tuple[str, ...], click.Command]) -> None:
    for path, command in commands.items():
        if isinstance(command, click.Group):
            continue
        lines = [line.strip() for line in (command.epilog or "").splitlines() if line.strip().startswith("cssync ")]
        assert lines, f"{' '.join(path)} shows no example"
        for line in lines:
            words = shlex.split(line.partition(" >")[0])[1:]
            while words[0].startswith("-"):  # shared options may come first
                words = words[2:]
            assert tuple(words[: len(path)]) == path, line
            command.make_context(path[-1], words[len(path) :], resilient_parsing=False).close()


def test_every_command_takes_the_shared_options(commands: dict[tuple[str, ...], click.Command]) -> None:
    for path, command in commands.items():
        if isinstance(command, click.Group):
            continue
        given = {option for parameter in command.params for option in parameter.opts}
        assert "--json" in given, path
        if path[0] not in ("demo",):
            assert {"--config", "--verbose"} <= given, path


def test_help_names_every_command_by_purpose_and_imports_none_of_them() -> None:
    code = (
        "import sys; sys.argv = ['cssync', '--help']\n"
        "from cssync.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.partition('.')[0] in "
        "('pydantic', 'httpx', 'rich', 'yaml', 'sqlite_utils', 'pluggy', 'cssync', 'logging', 'importlib.metadata')))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "['cssync', 'cssync.cli', 'cssync.cli.context']" in shown
    for section, entries in COMMANDS.items():
        assert f"{section}:" in shown
        for name, _, short in entries:
            assert f"  {name.ljust(10)}" in shown
            assert short in shown


TYPOS = {
    "plna": "plan", "aply": "apply", "aprove": "approve", "snyc": "sync", "synch": "sync", "stauts": "status",
    "stat": "status", "chekc": "check", "plugin": "plugins", "field": "fields", "provison": "provision",
    "explian": "explain", "account": "accounts", "evalute": "evaluate", "eval": "evaluate", "rule": "rules",
    "histroy": "history", "failure": "failures", "quarantaine": "quarantine", "lnik": "link", "links": "link",
    "rnu": "run", "initt": "init", "dmeo": "demo", "Status": "status",
}  # fmt: skip


@pytest.mark.parametrize(("typed", "meant"), TYPOS.items())
def test_a_wrong_command_suggests_the_right_one(typed: str, meant: str) -> None:
    result = invoke(typed)
    assert result.exit_code == 2
    assert f"error: there is no command '{typed}'; did you mean '{meant}'?" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (("link", "acept"), "'accept'"),
        (("quarantine", "rtry"), "'retry'"),
        (("status", "--jsn"), "'--json'"),
        (("sync", "--steam", "x"), "'--stream'"),
    ],
)
def test_a_wrong_subcommand_or_option_suggests_the_right_one(args: tuple[str, ...], meant: str) -> None:
    result = invoke(*args)
    assert result.exit_code == 2
    assert meant in result.stderr
    assert "--help` shows the usage and an example" in result.stderr


def raising(error: BaseException) -> Any:
    @click.command()
    @context.shared
    def command(call: context.Call) -> None:
        raise error

    return command


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Any:
    def fails(error: BaseException, *args: str) -> Result:
        monkeypatch.setattr(type(main), "get_command", lambda self, ctx, name: raising(error))
        return invoke("anything", *args)

    return fails


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CssyncError("m"), 1),
        (ConfigError("m"), 2),
        (TransientFault("m"), 3),
        (ApprovalNeeded("m"), 4),
        (LeaseHeld("m"), 5),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 1),
    ],
)
def test_each_error_has_its_exit_code_and_no_traceback(fails: Any, error: BaseException, code: int) -> None:
    result = fails(error)
    assert result.exit_code == code
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_an_error_says_what_is_safe_and_what_to_do(fails: Any) -> None:
    error = CssyncError("it broke", kept="all is safe", fix="mend it")
    assert fails(error).stderr == "error: it broke\n  kept: all is safe\n  fix: mend it\n"
    assert fails(CssyncError("it broke")).stderr == "error: it broke\n"
    assert "Traceback" in fails(error, "-v").stderr
    assert "Traceback" in fails(error, "-vv").stderr


def test_with_json_an_error_is_json_on_stderr(fails: Any) -> None:
    result = fails(ConfigError("it broke", kept="all is safe", fix="mend it"), "--json")
    assert json.loads(result.stderr) == {
        "version": 1,
        "error": {
            "kind": "ConfigError",
            "message": "it broke",
            "kept": "all is safe",
            "fix": "mend it",
            "exit_code": 2,
        },
    }
    assert result.stdout == ""
    assert "traceback" in json.loads(fails(ZeroDivisionError("x"), "--json").stderr)["error"]


def test_with_json_a_usage_error_is_json_too() -> None:
    usage = json.loads(invoke("plna", "--json").stderr)["error"]
    assert (usage["kind"], usage["exit_code"]) == ("UsageError", 2)


def test_a_bug_shows_its_traceback_and_says_that_it_is_one(fails: Any) -> None:
    result = fails(ZeroDivisionError("oops"))
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "this is a bug in cssync or a plugin: ZeroDivisionError: oops" in result.stderr


def test_no_secret_is_told_by_any_error(fails: Any) -> None:
    install([CANARY])
    for error in (CssyncError(f"token {CANARY}", fix=CANARY), RuntimeError(CANARY)):
        for args in ((), ("--json",), ("-v",), ("-vv", "--json")):
            result = fails(error, *args)
            assert CANARY not in result.stderr + result.stdout


def test_a_fault_list_reaches_json_with_its_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cssync.config.reader import FaultyFileError, parse

    document = parse(b"a: 1\na: 2\n", "cssync.yaml")
    with pytest.raises(FaultyFileError) as caught:
        document.settle()
    assert complain(caught.value, ["--json"]) == 2
    told = json.loads(capsys.readouterr().err)["error"]
    assert told["faults"] == [
        {"file": "cssync.yaml", "line": 2, "column": 1, "message": "key 'a' is given twice (first in line 1)"}
    ]


def test_shared_options_count_before_and_after_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for args in (("-c", "x.yaml", "status"), ("status", "--config", "x.yaml")):
        assert "there is no x.yaml" in invoke(*args).stderr
    assert "there is no y.yaml" in invoke("-c", "x.yaml", "status", "-c", "y.yaml").stderr
    assert "there is no cssync.yaml" in invoke("status").stderr
    assert json.loads(invoke("--json", "plugins").stdout)["version"] == 1


def test_version_and_bare_call() -> None:
    assert invoke("--version").stdout.startswith("cssync, version 0.")
    assert "Usage: cssync" in invoke().stderr


def test_a_table_is_aligned_for_wide_characters_and_free_of_control_characters() -> None:
    shown = list(columns(("NAME", "COUNT", "M"), [("株式会社星見", 1, "x"), ("a\x1b[31mb\u202e", None, "y")]))
    assert shown == ["NAME          COUNT  M", "株式会社星見      1  x", "a[31mb            -  y"]


def test_suggestions_need_some_likeness() -> None:
    assert did_you_mean("xyzzy", ["plan", "apply"]) == ""
    assert did_you_mean("PLAN", ["plan", "apply"]) == "; did you mean 'plan'?"
