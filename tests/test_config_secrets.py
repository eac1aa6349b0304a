"""References to secrets: where they are looked for, and that nothing of them is ever told."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest

from cssync.config import secrets
from cssync.config.secrets import is_reference, resolve
from cssync.errors import ConfigError

CANARY = "canary-71c0ffee"


def refused(reference: str, folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(reference, folder)
    told = f"{caught.value} {caught.value.kept} {caught.value.fix} {caught.value.__cause__!r}"
    assert CANARY not in told
    return told


def test_an_environment_variable_is_read_by_its_exact_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_TOKEN", f"{CANARY}\n")
    assert resolve("env:CRM_TOKEN", tmp_path) == CANARY
    assert "environment variable CRM_TOKN: it is not set" in refused("env:CRM_TOKN", tmp_path)
    monkeypatch.setenv("CRM_TOKEN", " ")
    assert "is empty" in refused("env:CRM_TOKEN", tmp_path)


def test_a_file_is_read_from_the_folder_of_the_configuration_without_its_last_line_end(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(f"{CANARY}\r\n".encode())
    file.chmod(0o600)
    assert resolve("file:token", tmp_path) == CANARY
    assert resolve(f"file:{file}", Path("/")) == CANARY
    file.write_text(f"-----BEGIN\n{CANARY}\n-----END\n")
    assert resolve("file:token", tmp_path) == f"-----BEGIN\n{CANARY}\n-----END"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o601])
def test_a_file_that_others_can_reach_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_text(CANARY)
    file.chmod(mode)
    assert f"has mode {mode:04o}" in refused("file:token", tmp_path)
    assert f"chmod 600 {file}" in refused("file:token", tmp_path)


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(CANARY)
    file.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(file, 12345, -1)
    else:
        mine = os.geteuid()
        monkeypatch.setattr(secrets.os, "geteuid", lambda: mine + 1)
    assert "belongs to another user" in refused("file:token", tmp_path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + CANARY.encode())
    (tmp_path / "binary").chmod(0o600)
    (tmp_path / "empty").touch(0o600)
    assert "Is a directory" in refused("file:folder", tmp_path)
    assert f"file {tmp_path}/gone: No such file" in refused("file:gone", tmp_path)
    assert "not UTF-8" in refused("file:binary", tmp_path)
    assert "is empty" in refused("file:empty", tmp_path)


def test_a_command_runs_without_a_shell_and_its_errors_are_not_shown(tmp_path: Path) -> None:
    python = sys.executable
    assert resolve(f"cmd:{python} -c \"print('{CANARY}')\"", tmp_path) == CANARY
    assert resolve("cmd:echo $HOME;ls", tmp_path) == "$HOME;ls"
    code = f"import sys; sys.stderr.write('{CANARY}'); sys.exit(3)"
    told = refused(f'cmd:{python} -c "{code}"', tmp_path)
    assert "ended with exit code 3" in told
    assert "cannot be run" in refused("cmd:no-such-program-here", tmp_path)
    assert "cannot be split" in refused('cmd:echo "', tmp_path)


def test_a_command_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "COMMAND_SECONDS", 0.05)
    assert "gave no secret within" in refused("cmd:sleep 5", tmp_path)


def test_the_keyring_is_used_where_its_package_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "package keyring, which is not installed" in refused("keyring:cssync/crm", tmp_path)
    known = {("cssync", "crm"): CANARY}
    fake = types.SimpleNamespace(get_password=lambda service, user: known.get((service, user)))
    monkeypatch.setitem(sys.modules, "keyring", fake)
    assert resolve("keyring:cssync/crm", tmp_path) == CANARY
    assert "service 'cssync', user 'desk': there is none" in refused("keyring:cssync/desk", tmp_path)
    assert "needs SERVICE/USER" in refused("keyring:cssync", tmp_path)


@pytest.mark.parametrize("text", ["env:", "file: ", "cmd:", "keyring:"])
def test_a_reference_to_nothing_is_refused(tmp_path: Path, text: str) -> None:
    assert is_reference(text)
    assert "names nothing" in refused(text, tmp_path)


@pytest.mark.parametrize("text", [CANARY, "https://x", "environment:X", None, 5])
def test_other_values_are_no_references(text: object) -> None:
    assert not is_reference(text)
