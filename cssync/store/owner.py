"""Which process owns a row of the store, and whether it is gone: then nobody needs to wait for it."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path


def me(what: str) -> str:
    """Return the name under which this process owns a row; `what` tells its rows apart and has no line break."""
    return f"{_machine()} pid {os.getpid()} {what}"


def gone(owner: str) -> bool:
    """Whether the owner was a process of this machine that is no more; False for one of another machine."""
    found = re.fullmatch(r"(?P<machine>\S+) pid (?P<pid>\d+) .*", owner)
    if found is None or found["machine"] != _machine():
        return False
    try:
        os.kill(int(found["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _machine() -> str:
    """This machine and process namespace: a pid means something only within both."""
    try:
        space = re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        space = ""
    return f"{socket.gethostname()}/{space}".rstrip("/")
