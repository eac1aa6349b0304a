"""A plugin that is broken is named and left out; the others work."""

from __future__ import annotations

import itertools
import os
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from cssync.errors import ConfigError
from cssync.plugins import Plugins, load, plugins

NUMBER = itertools.count()
GOOD = """
from cssync.connectors import Connector, ConnectionSettings, Identity, Vendor, judge_by_status
from cssync.hookspecs import hookimpl

def connector(name):
    return Connector(
        name=name, title=name, config=ConnectionSettings, streams=(), hosts="x", vendor=lambda s: None,
        identity=lambda s: Identity("1", "x", "sandbox"),
    )

@hookimpl
def cssync_connectors():
    return (connector({name!r}),)
"""
BAD = {
    "does not import": ("import no_such_module_anywhere", "ModuleNotFoundError: No module named"),
    "does not parse": ("def broken(:", "SyntaxError"),
    "raises while it loads": ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "raises in its hook": (
        GOOD.replace("return (connector", "raise RuntimeError('no licence')\n    return (connector"),
        "RuntimeError: no licence",
    ),
    "raises in another hook": (
        GOOD + "\n@hookimpl\ndef cssync_rule_packs():\n    raise OSError('no such folder')\n",
        "OSError: no such folder",
    ),
    "returns a number": (GOOD.replace("return (connector({name!r}),)", "return 7"), "TypeError"),
    "returns the wrong things": (
        GOOD.replace("return (connector({name!r}),)", "return [object()]"),
        "TypeError: cssync_connectors returned object, not a Connector",
    ),
    "returns wrong packs": (
        GOOD + "\n@hookimpl\ndef cssync_rule_packs():\n    return ['standard']\n",
        "TypeError: cssync_rule_packs must return (name, folder) pairs",
    ),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "ends the process": ("import os; os._exit(7)", "SystemExit: it ends the process (os._exit(7))"),
    "ends the process in its hook": (
        GOOD.replace("return (connector", "import os; os._exit(0)\n    return (connector"),
        "SystemExit: it ends the process (os._exit(0))",
    ),
    "pretends that somebody pressed Ctrl-C": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "hangs while it loads": ("import threading; threading.Event().wait()", "TimeoutError: it did not answer within"),
    "hangs in its hook": (
        GOOD.replace("return (connector", "import threading; threading.Event().wait()\n    return (connector"),
        "TimeoutError: it did not answer within",
    ),
    "misspells a hook": (GOOD.replace("def cssync_connectors", "def cssync_conectors"), "cssync_conectors"),
    "takes too many arguments": (
        GOOD.replace("def cssync_connectors()", "def cssync_connectors(session)"), "PluginValidationError",
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def point(folder: Path, name: str, source: str, offers: str | None = None) -> EntryPoint:
    module = f"plugin_under_test_{next(NUMBER)}"
    (folder / f"{module}.py").write_text(source.replace("{name!r}", repr(offers or name)), encoding="utf-8")
    return EntryPoint(name, module, "cssync")


@pytest.mark.parametrize(("source", "words"), BAD.values(), ids=BAD.keys())
def test_a_broken_plugin_stops_only_itself(
    folder: Path, source: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "hangs" in words or "TimeoutError" in words:
        monkeypatch.setattr("cssync.plugins.SECONDS", 0.2)
    found = load([point(folder, "alpha", GOOD), point(folder, "broken", source), point(folder, "omega", GOOD)])
    assert sorted(found.connectors) == ["alpha", "omega"]
    (broken,) = [plugin for plugin in found.installed if plugin.error]
    assert broken.name == "broken"
    assert words in broken.error
    assert broken.connectors == ()
    assert [p.name for p in found.installed] == ["alpha", "broken", "omega"]


def test_a_process_that_a_plugin_makes_while_it_loads_may_end_as_it_likes(folder: Path) -> None:
    source = """
import os, warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of forking beside threads
    child = os.fork()
if not child:
    os._exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
"""
    leave = os._exit
    assert load([point(folder, "forks", source + GOOD)]).installed[0].error == ""
    assert os._exit is leave


def test_a_name_that_is_taken_leaves_the_second_out_whole(folder: Path) -> None:
    second = GOOD.replace("return (connector({name!r}),)", "return (connector('other'), connector({name!r}))")
    found = load([point(folder, "b-second", second, "crm"), point(folder, "a-first", GOOD, "crm")])
    assert list(found.connectors) == ["crm"]
    (left_out,) = [plugin for plugin in found.installed if plugin.error]
    assert left_out.name == "b-second"
    assert "offers crm, which another plugin already offers" in left_out.error


def test_the_order_of_installation_does_not_decide(folder: Path) -> None:
    points = [point(folder, name, GOOD, "crm") for name in ("beta", "alpha", "gamma")]
    for order in itertools.permutations(points):
        assert [p.name for p in load(order).installed if not p.error] == ["alpha"]


def test_a_missing_connector_names_what_there_is_and_what_failed(folder: Path) -> None:
    found = load([point(folder, "alpha", GOOD), point(folder, "broken", "import no_such_module_anywhere")])
    assert found.connector("alpha").name == "alpha"
    with pytest.raises(ConfigError) as fault:
        found.connector("hubspt")
    assert "'hubspt' is not installed (installed: alpha)" in fault.value.message
    assert "plugin 'broken' failed to load: ModuleNotFoundError" in fault.value.message
    assert "cssync plugins" in fault.value.fix
    assert fault.value.exit_code == 2


def test_nothing_installed_is_said_so() -> None:
    with pytest.raises(ConfigError, match="installed: none"):
        Plugins((), {}, {}).connector("hubspot")


def test_a_plugin_in_the_working_directory_is_not_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "cssync_stray.py").write_text(GOOD.replace("{name!r}", "'stray'"), encoding="utf-8")
    plugins.cache_clear()
    assert "stray" not in plugins().connectors
    plugins.cache_clear()


def test_our_own_come_by_entry_point_too() -> None:
    assert {"hubspot", "salesforce", "zendesk"} <= set(plugins().connectors)
    assert "standard" in plugins().rule_packs
