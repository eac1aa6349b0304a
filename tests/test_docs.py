"""What the documents show is true: their commands run on a demo workspace, their files load, their code executes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from cssync import hookspecs
from cssync.cli import main, reference
from cssync.config.load import load_workspace
from cssync.errors import CssyncError
from cssync.plugins import plugins
from cssync.rules import load_folders
from cssync.sandbox.demo import demo
from cssync.sandbox.make_world import make
from cssync.sandbox.vendors import vendors
from cssync.sandbox.workspace import CONNECTIONS, write_workspace
from cssync.store import Store
from cssync.store.describe import page

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/*/README.md")) if path.exists()
)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SET_UP = ("python3 -m pip ", "pip install ", "uv run ")
"""Commands that set a machine up: `.ci/run` and the README's reader run those."""


def blocks(path: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(path.read_text(encoding="utf-8")) if language in languages]


def commands(path: Path) -> list[str]:
    lines = [line[2:] for body in blocks(path, "console") for line in body.splitlines() if line.startswith("$ ")]
    return [line for line in lines if not line.startswith(SET_UP)]


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


WITH_COMMANDS = [path for path in DOCUMENTS if commands(path)]
WITH_YAML = [path for path in DOCUMENTS if blocks(path, "yaml")]
WITH_PYTHON = [path for path in DOCUMENTS if blocks(path, "python")]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace as `cssync demo --keep` leaves it, its vendors still up."""
    folder = tmp_path_factory.mktemp("docs") / "workspace"
    connectors = {name: plugins().connector(connector) for name, connector in CONNECTIONS.items()}
    now = datetime.now(UTC)
    with vendors(make(15, 7, now), connectors) as running:
        path = write_workspace(folder, connectors, {v.connection: v.server.url for v in running})
        report = demo(path, running, companies=15, as_of=now, say=lambda line: None)
        assert report.faults == ()
        yield path


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=names(WITH_COMMANDS))
def test_every_command_in_the_documents_runs(path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kept.parent)
    for line in commands(path):
        command, _, expected = line.partition("  # exit ")
        program, *arguments = shlex.split(command, comments=True)
        assert program == "cssync", f"{path.name}: {line}"
        with Store.open(kept.parent / "cssync.db") as store:
            known = {
                "PLAN": store.query("SELECT id FROM plan ORDER BY created_at DESC, rowid DESC LIMIT 1")[0][0],
                "RUN": store.query("SELECT run_id FROM outbox WHERE state = 'verified' ORDER BY rowid DESC")[0][0],
                "ACCOUNT": store.query("SELECT uid FROM account ORDER BY uid LIMIT 1")[0][0],
                "CONNECTION": "crm",
            }
        if arguments[0] == "init":
            empty = kept.parent / f"init-{path.stem}"
            empty.mkdir()
            monkeypatch.chdir(empty)
        result = CliRunner().invoke(main, [known.get(argument, argument) for argument in arguments])
        monkeypatch.chdir(kept.parent)
        assert result.exit_code == int(expected or 0), f"{path.name}: {line}\n{result.output}"


@pytest.mark.parametrize("path", WITH_YAML, ids=names(WITH_YAML))
def test_every_file_in_the_documents_loads(path: Path, tmp_path: Path) -> None:
    for number, body in enumerate(blocks(path, "yaml")):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            if re.search(r"^pack:", body, re.MULTILINE):
                (folder / "pack.yaml").write_text(body, encoding="utf-8")
                load_folders([("docs", folder)])
            else:
                config = folder / "cssync.yaml"
                config.write_text(whole(body), encoding="utf-8")
                load_workspace(config, secrets=False)
        except CssyncError as error:
            pytest.fail(f"{path.name}, block {number + 1}:\n{body}\n{error.message}")


def whole(body: str) -> str:
    """Complete an excerpt of cssync.yaml with the keys that every one needs."""
    needed = {"workspace": "docs", "timezone": "UTC", "currency": "USD"}
    if not re.search(r"^connections:", body, re.MULTILINE):
        body += "\nconnections: {crm: {connector: hubspot, token: env:HUBSPOT_TOKEN}}\n"
    return body + "".join(
        f"{key}: {value}\n" for key, value in needed.items() if not re.search(rf"^{key}:", body, re.MULTILINE)
    )


@pytest.mark.parametrize("path", WITH_PYTHON, ids=names(WITH_PYTHON))
def test_every_python_example_executes(path: Path) -> None:
    code = "\n".join(blocks(path, "python"))
    exec(compile(code, str(path), "exec"), {"__name__": "example"})  # noqa: S102 - our own document is the input


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_every_link_between_documents_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), f"{path.name} -> {target}"


def test_every_promise_names_a_test_that_is_there() -> None:
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| (R\d+) \| .+? \| \[`(\w+)`\]\(\.\./([\w/.]+)\) \|$", text, re.MULTILINE)
    assert [number for number, _, _ in named] == [f"R{n}" for n in range(1, 44)]
    absent = [name for _, name, file in named if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")]
    assert absent == []


def test_the_store_page_is_generated_from_the_model() -> None:
    assert (ROOT / "docs" / "store.md").read_text(encoding="utf-8") == "\n".join(page()).rstrip() + "\n"


def test_every_hook_has_its_signature_in_the_documents() -> None:
    text = (ROOT / "docs" / "writing-a-connector.md").read_text(encoding="utf-8")
    hooks = [name for name, item in vars(hookspecs).items() if hasattr(item, "cssync_spec")]
    assert hooks
    assert sorted(re.findall(r"^### (cssync_\w+)\(", text, re.MULTILINE)) == sorted(hooks)


def test_ci_calls_the_test_command_of_the_readme() -> None:
    (run, test) = [line[2:] for line in blocks(ROOT / "README.md", "console")[0].splitlines()]
    assert run.endswith("uv run cssync demo")
    assert test in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_every_dependency_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    reasons = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    extras = [r for group in project["project"]["optional-dependencies"].values() for r in group]
    for requirement in (*project["project"]["dependencies"], *extras, *project["dependency-groups"]["dev"]):
        name, bound = re.fullmatch(r"([\w.-]+)(?:\[\w+\])?(.*)", requirement).groups()  # type: ignore[union-attr]
        assert bound.startswith(">="), requirement
        assert re.search(rf"\b{name}\b", reasons), f"{name} has no reason in docs/dependencies.md"
        assert re.search(rf"^{re.escape(name.lower().replace('.', '-'))}==", lock, re.MULTILINE), (
            f"{name} is not locked"
        )


def test_the_command_page_is_generated_from_the_commands() -> None:
    lines = "\n".join(line.rstrip() for line in reference.page()).rstrip() + "\n"
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == lines


ARGUMENTS = {
    "fields": ("crm", "companies"), "provision": ("--dry-run",), "sync": ("desk",), "verify": ("desk",),
    "rules sql": ("health",), "explain": ("ACCOUNT",), "history": ("ACCOUNT",),
    "evaluate --as-of": ("2026-11-20", "--diff"), "rules simulate": ("ACCOUNT", "seats=5"), "rules test": ("FOLDER",),
}  # fmt: skip
TESTED = """
pack: tested
features: {open: {count: tickets}}
tests: [{name: one, as_of: 2026-11-20, given: {open: 1}, then: {open: 1}}]
"""
"""A pack with one test, in place of the hundreds of the standard ones."""


@pytest.mark.parametrize("name", list(reference.DOCUMENTS))
def test_a_json_document_has_the_keys_that_the_page_names(name: str, kept: Path, tmp_path: Path) -> None:
    with Store.open(kept.parent / "cssync.db") as store:
        account = store.query("SELECT uid FROM account ORDER BY uid LIMIT 1")[0][0]
    (tmp_path / "tested.yaml").write_text(TESTED, encoding="utf-8")
    known = {"ACCOUNT": account, "FOLDER": str(tmp_path)}
    arguments = [known.get(a, a) for a in ARGUMENTS.get(name, ())]
    result = CliRunner().invoke(main, ["-c", str(kept), *name.split(), *arguments, "--json"])
    document = json.loads(result.stdout)
    assert set(document) == {"version", *reference.DOCUMENTS[name]}
    assert document["version"] == 1
