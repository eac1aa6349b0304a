"""Secrets: references in cssync.yaml, resolved when a command needs them, never kept or printed.

========================= ============================================================================================
reference                 where the secret is
========================= ============================================================================================
`env:NAME`                environment variable NAME
`file:PATH`               a file that only its owner can read (mode 0600 or stricter); one trailing line end is dropped
`cmd:COMMAND ARGUMENTS`   standard output of a command, run without a shell, within COMMAND_SECONDS
`keyring:SERVICE/USER`    the operating system's keyring (needs the package `keyring`)
========================= ============================================================================================
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from cssync.errors import ConfigError

COMMAND_SECONDS = 30
MAX_CHARACTERS = 65_536
_REFERENCE = re.compile(r"(env|file|cmd|keyring):(.*)", re.DOTALL)


def is_reference(text: object) -> bool:
    """Tell whether a setting is a reference to a secret, rather than a plain value."""
    return isinstance(text, str) and _REFERENCE.fullmatch(text) is not None


def resolve(reference: str, folder: Path) -> str:
    """Return the secret that `reference` names; relative paths start at `folder`.

    Raises:
        ConfigError: it is not there, is empty, or is not safe where it is. The message says where it was looked for
            and never holds any part of the secret.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ConfigError("not a reference (env:NAME, file:PATH, cmd:COMMAND or keyring:SERVICE/USER)")
    kind, rest = match.groups()
    if not rest.strip():
        raise ConfigError(f"`{kind}:` names nothing")
    secret = _KINDS[kind](rest.strip(), folder)
    if not secret.strip():
        raise ConfigError(f"the secret in {_where(kind, rest.strip())} is empty")
    if len(secret) > MAX_CHARACTERS:
        raise ConfigError(f"the secret in {_where(kind, rest.strip())} is longer than {MAX_CHARACTERS:,} characters")
    return secret


def _where(kind: str, rest: str) -> str:
    shown = rest.split()[0] + " ..." if kind == "cmd" and " " in rest else rest
    return f"{kind}:{shown}"


def _from_env(name: str, folder: Path) -> str:
    secret = os.environ.get(name)
    if secret is None:
        raise ConfigError(f"looked for environment variable {name}: it is not set")
    return secret.removesuffix("\n")


def _from_file(name: str, folder: Path) -> str:
    path = folder / Path(name).expanduser()
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise ConfigError(f"looked for the secret in file {path}: it is not a plain file")
            _owner_only(path, about)
            raw = file.read(MAX_CHARACTERS + 1)
    except OSError as error:
        raise ConfigError(f"looked for the secret in file {path}: {error.strerror}") from error
    try:
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError(f"the secret in file {path} is not UTF-8 text") from None


def _owner_only(path: Path, about: os.stat_result) -> None:
    if os.name == "nt":  # no POSIX modes; access lists are the administrator's
        return
    if stat.S_IMODE(about.st_mode) & 0o077:
        mode = f"{stat.S_IMODE(about.st_mode):04o}"
        raise ConfigError(f"file {path} has mode {mode}: others than its owner can read it; `chmod 600 {path}`")
    if about.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"file {path} belongs to another user; give it to the user that runs cssync")


def _from_command(line: str, folder: Path) -> str:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"command in `cmd:` cannot be split into words: {error}") from None
    try:
        done = subprocess.run(  # noqa: S603 - the admin's own command, no shell
            words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ConfigError(f"command {words[0]} gave no secret within {COMMAND_SECONDS} seconds") from None
    except OSError as error:
        raise ConfigError(f"command {words[0]} cannot be run: {error.strerror}") from None
    if done.returncode:
        raise ConfigError(f"command {words[0]} ended with exit code {done.returncode}; run it by hand to see why")
    try:
        return done.stdout.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError(f"the output of command {words[0]} is not UTF-8 text") from None


def _from_keyring(name: str, folder: Path) -> str:
    service, _, user = name.partition("/")
    if not user:
        raise ConfigError(f"keyring:{name} needs SERVICE/USER")
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise ConfigError("`keyring:` needs the package keyring, which is not installed") from None
    try:
        secret = keyring.get_password(service, user)
    except Exception as error:  # noqa: BLE001 - each keyring backend raises its own kinds
        raise ConfigError(f"the keyring refused {service}/{user}: {type(error).__name__}") from None
    if secret is None:
        raise ConfigError(f"looked in the keyring for service {service!r}, user {user!r}: there is none")
    return str(secret)


_KINDS: Mapping[str, Callable[[str, Path], str]] = {
    "env": _from_env,
    "file": _from_file,
    "cmd": _from_command,
    "keyring": _from_keyring,
}
