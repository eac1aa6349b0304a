"""cssync.yaml: what loads, and what is said about what does not."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import Field as Setting

from cssync.config import Limits, Writeback
from cssync.config.load import load_workspace
from cssync.config.reader import FaultyFileError
from cssync.connectors import ConnectionSettings, Connector, Feed, Identity, Page, Secret, Stream, Vendor
from cssync.errors import ConfigError
from cssync.plugins import Plugin, Plugins

CANARY = "canary-9f3b1c77"


class CrmSettings(ConnectionSettings):
    token: Secret
    portal: int = 0


class DeskSettings(ConnectionSettings):
    subdomain: Annotated[str, Setting(pattern=r"[a-z]+")]
    email: str
    password: Secret | None = None


def no_pages(*_: Any) -> Iterator[Page]:
    yield Page((), last=True)


def stream(name: str, entity: str, *, writable: bool = False) -> Stream:
    return Stream(name, (Feed(entity, {}),), no_pages, writable=writable)


def connector(name: str, config: type[ConnectionSettings], *streams: Stream, **more: Any) -> Connector:
    return Connector(
        name=name,
        title=name.title(),
        config=config,
        streams=streams,
        hosts=".*",
        vendor=lambda settings: Vendor("https://x.example", judge=lambda a: None),  # type: ignore[arg-type, return-value]
        identity=lambda session: Identity("1", "x", "sandbox"),
        **more,
    )


def custom(name: str, mapped: Any) -> Stream:
    if name.startswith("bad"):
        raise ConfigError(f"{name} cannot be read")
    return stream(name, "usage_metric")


@pytest.fixture
def installed() -> Plugins:
    crm = connector(
        "bigcrm",
        CrmSettings,
        stream("companies", "account_source", writable=True),
        stream("deals", "opportunity"),
        stream("tickets", "ticket"),
        tasks=True,
        custom_stream=custom,
    )
    desk = connector("desk", DeskSettings, stream("organizations", "account_source", writable=True))
    folder: Traversable = Path(__file__).parent
    return Plugins((Plugin("p", "p", "d", "1"),), {"bigcrm": crm, "desk": desk}, {"standard": folder})


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CRM_TOKEN", CANARY)
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = Path("cssync.yaml")
        path.write_text(textwrap.dedent(text))
        return path

    return write


GOOD = """\
workspace: acme
timezone: Asia/Tokyo
currency: JPY
connections:
  crm:
    connector: bigcrm
    token: env:CRM_TOKEN
"""


def faults(write: Any, installed: Plugins, text: str) -> list[str]:
    with pytest.raises(FaultyFileError) as caught:
        load_workspace(write(text), installed=installed)
    assert caught.value.exit_code == 2
    assert CANARY not in caught.value.message
    return [str(fault) for fault in caught.value.faults]


def test_a_short_file_loads_with_the_documented_defaults(write: Any, installed: Plugins, tmp_path: Path) -> None:
    workspace = load_workspace(write(GOOD), installed=installed)
    assert (workspace.name, workspace.timezone, workspace.currency) == ("acme", ZoneInfo("Asia/Tokyo"), "JPY")
    assert workspace.store == tmp_path / "cssync.db"
    assert workspace.path == tmp_path / "cssync.yaml"
    assert workspace.rules == ("standard",)
    assert workspace.limits == Limits()
    assert workspace.writeback == {}
    crm = workspace.connection("crm")
    assert crm.settings.token.get_secret_value() == CANARY  # type: ignore[attr-defined]
    assert [s.name for s in crm.streams] == ["companies", "deals", "tickets"]


def test_everything_that_can_be_set_arrives_where_the_stages_look(
    write: Any, installed: Plugins, tmp_path: Path
) -> None:
    path = write(
        GOOD
        + """\
    skip_streams: [tickets]
    patience: 5
    portal: 12
  help:
    connector: desk
    subdomain: acme
    email: ops@acme.example
store: data/x.db
fields:
  crm.companies: {renewal_date: contract.end_date, tier: account.segment, n1: usage_metric.logins}
  crm.deals: {n2: usage_metric.value}
  crm.p_usage: {amount: usage_metric.value}
masters: {account.name: crm, account_source.industry: help, contract: crm}
rules: [standard, ./rules]
writeback:
  crm: {to: companies, fields: {h: health.score, b: health.band}, tasks: true, policy: ours}
  help: {to: organizations, fields: {h: health.score, b: health.band}, policy: {h: theirs}}
limits: {changes: 12.5%, changes_count: 7, share: 40%}
fiscal_year_start: 4
holidays: "NO"
closures: [12-31, 2026-08-13]
locale: ja
fx: money/rates.csv
"""
    )
    workspace = load_workspace(path, installed=installed)
    crm = workspace.connection("crm")
    assert [s.name for s in crm.streams] == ["companies", "deals", "p_usage"]
    assert crm.mapped == {
        "companies": {
            "renewal_date": "contract.end_date",
            "tier": "account_source.segment",
            "n1": "usage_metric.logins",
        },
        "deals": {"n2": "usage_metric.value"},
        "p_usage": {"amount": "usage_metric.value"},
    }
    assert (crm.settings.patience, crm.settings.portal) == (5.0, 12)  # type: ignore[attr-defined]
    assert workspace.masters == {"account.name": "crm", "account.industry": "help", "contract": "crm"}
    assert workspace.rules == ("standard", tmp_path / "rules")
    fields = {"h": "health.score", "b": "health.band"}
    assert workspace.writeback == {
        "crm": Writeback("crm", "companies", fields, tasks=True, policy="ours"),
        "help": Writeback("help", "organizations", fields, policies={"h": "theirs"}),
    }
    assert workspace.limits == Limits(Decimal("0.125"), 7, Decimal("0.40"))
    assert (workspace.fiscal_year_start, workspace.holidays, workspace.locale) == (4, "NO", "ja")
    assert workspace.fx == workspace.path.parent / "money" / "rates.csv"
    assert workspace.closures == ("12-31", "2026-08-13")
    assert workspace.store == tmp_path / "data" / "x.db"


def test_a_number_of_changes_is_a_brake_of_its_own(write: Any, installed: Plugins) -> None:
    workspace = load_workspace(write(GOOD + "limits: {changes: 30}\n"), installed=installed)
    assert workspace.limits == Limits(changes=Decimal(1), changes_count=30)


@pytest.mark.parametrize("country", ["NO", "JP", "US-CA"])
def test_plain_scalars_stay_text(write: Any, installed: Plugins, country: str) -> None:
    assert load_workspace(write(GOOD + f"holidays: {country}\n"), installed=installed).holidays == country


@pytest.mark.parametrize("text", ["0123", "1.10", "12:30", "1e3", "NO", "0x10"])
def test_a_name_that_yaml_would_turn_into_a_number_arrives_as_written(
    write: Any, installed: Plugins, text: str
) -> None:
    path = write(GOOD + f"fields: {{crm.companies: {{{text}: account.segment}}}}\n")
    assert load_workspace(path, installed=installed).connection("crm").mapped["companies"] == {
        text: "account_source.segment"
    }


def test_objects_of_a_customers_own_may_have_names_that_are_like_each_other(write: Any, installed: Plugins) -> None:
    names = ["Daily_Usage__c", "Weekly_Usage__c", "Tickets__c", "2-3561001", "2-3561002", "p4242_deals"]
    mapped = ", ".join(f"crm.{name}: {{v: usage_metric.m{n}}}" for n, name in enumerate(names))
    streams = load_workspace(write(GOOD + f"fields: {{{mapped}}}\n"), installed=installed).connection("crm").streams
    assert [s.name for s in streams][-len(names) :] == names


ONE_FAULT = {
    # extra lines after GOOD (or a whole file, when it begins with `workspace`): (position, words)
    "timezon: x": ("8:1", "unknown key 'timezon'; did you mean 'timezone'?"),
    "limits: {chnges: 20%}": ("8:10", "limits: unknown key 'chnges'; did you mean 'changes'?"),
    "currency: USD": ("8:1", "key 'currency' is given twice (first in line 3)"),
    "limits: {changes: 120%}": ("8:19", "limits.changes must be a percentage such as 20%, or a whole number"),
    "limits: {share: 0.5}": ("8:17", "limits.share must be a percentage above 0% and up to 100%, such as 50%"),
    "limits: {changes: 3, changes_count: 4}": ("8:9", "limits has the number of records twice"),
    "limits: [a]": ("8:9", "limits must be a mapping of keys and values"),
    "limits:": ("8:1", "limits is empty"),
    "fiscal_year_start: April": ("8:20", "fiscal_year_start must be a whole number"),
    "fiscal_year_start: 13": ("8:20", "should be less than or equal to 12"),
    "closures: [13-31]": ("8:12", "must be a day: MM-DD for every year, or YYYY-MM-DD"),
    "closures: 12-31": ("8:11", "closures must be a list"),
    "holidays: Japan": ("8:11", "must be a country code such as JP"),
    "holidays: XX": ("8:11", "without known public holidays"),
    "locale: jap": ("8:9", "locale must be 'en' or 'ja'; did you mean 'ja'?"),
    "store: postgresql://u@h/d": ("8:8", "only an SQLite file is possible yet"),
    "store: .": ("8:8", "is a folder"),
    "rules: [standrd]": ("8:9", "no rule set 'standrd' is installed (installed: standard)"),
    "rules: standard": ("8:8", "rules must be a list"),
    "masters: {acount: crm}": ("8:11", "there is no entity 'acount'; did you mean 'account'?"),
    "masters: {account.nme: crm}": ("8:11", "account has no column 'nme'; did you mean 'name'?"),
    "masters: {account.name: crn}": ("8:25", "there is no connection 'crn'; did you mean 'crm'?"),
    "fields: {crn.companies: {}}": ("8:10", "there is no connection 'crn'; did you mean 'crm'?"),
    "fields: {crm: {}}": ("8:10", "write `connection.stream`"),
    "fields: {crm.companys: {}}": ("8:10", "bigcrm has no stream 'companys'; did you mean 'companies'?"),
    "fields: {crm.bad_one: {}}": ("8:10", "fields.crm.bad_one: bad_one cannot be read"),
    "fields: {crm.companies: {a: contrct.end_date}}": ("8:29", "no entity 'contrct'; did you mean 'contract'?"),
    "fields: {crm.companies: {a: contract.end_dat}}": ("8:29", "no column 'end_dat'; did you mean 'end_date'?"),
    "fields: {crm.companies: {a: interaction.meting}}": ("8:29", "no column 'meting'; did you mean 'meeting'?"),
    "fields: {crm.companies: {a: end_date}}": ("8:29", "did you mean 'contract.end_date'?"),
    "fields: {crm.companies: {a: crm_state.fields}}": ("8:29", "there is no entity 'crm_state'"),
    "fields: {crm.companies: {a: account.account_uid}}": ("8:29", "account has no column 'account_uid'"),
    "fields: {crm.companies: {a: account.name, b: account_source.name}}": ("8:46", "is already filled by 'a'"),
    "fields: {crm.companies: {a: [b]}}": ("8:29", "fields.crm.companies.a must be text"),
    "writeback: {crn: {to: companies}}": ("8:13", "there is no connection 'crn'; did you mean 'crm'?"),
    "writeback: {crm: {to: company}}": ("8:23", "bigcrm cannot write 'company'; did you mean 'companies'?"),
    "writeback: {crm: {to: deals}}": ("8:23", "bigcrm cannot write 'deals'; it can write companies"),
    "writeback: {crm: {fields: {}}}": ("8:13", "key 'to' is missing"),
    "writeback: {crm: {to: companies, task: true}}": ("8:34", "unknown key 'task'; did you mean 'tasks'?"),
    "writeback: {crm: {to: companies, tasks: maybe}}": ("8:41", "must be true or false"),
    "writeback: {crm: {to: companies, policy: unless_edited}}": ("8:42", "did you mean 'unless-edited'?"),
    "writeback: {crm: {to: companies, policy: {x: ours}}}": ("8:43", "'x' is not written"),
    "writeback: {crm: {to: companies, fields: {a: health}}}": ("8:46", "'health' is no result; write `pack.output`"),
    "a: &x 1": ("8:4", "anchors and aliases are not read"),
    "a: !!python/object:os.system x": ("8:4", "tags are not read"),
    "? [a]\n: b": ("8:3", "a key must be text"),
    "---\na: b": ("8:1", "a second document"),
    "\tlimits: {}": ("8:1", "not valid YAML"),
    "limits: {changes: 20%": ("9:1", "not valid YAML"),
    'locale: "e\\0n"': ("8:9", "control or invisible character"),
    "workspace: Acme Inc\n" + GOOD.partition("\n")[2]: ("1:12", "workspace must be 1 to 64 of a-z, 0-9, _ and -"),
    "workspace: ../x\n" + GOOD.partition("\n")[2]: ("1:12", "workspace must be 1 to 64 of"),
    "workspace: nul\n" + GOOD.partition("\n")[2]: ("1:12", "device name on Windows"),
    GOOD.replace("Tokyo", "Tokio"): ("2:11", "timezone is no time zone; write an IANA name"),
    GOOD.replace("JPY", "yen"): ("3:11", "currency must be an ISO 4217 code"),
    GOOD.replace("timezone: Asia/Tokyo\n", ""): ("1:1", "key 'timezone' is missing"),
    GOOD.replace("  crm:", "  ../crm:"): ("5:3", "must be 1 to 64 of a-z"),
    GOOD.replace("bigcrm", "bigcmr"): ("6:16", "connector 'bigcmr' is not installed (installed: bigcrm, desk)"),
    GOOD.replace("    connector: bigcrm\n", ""): ("5:3", "key 'connector' is missing; one of bigcrm, desk"),
    GOOD.replace("    token", "    tokn"): ("7:5", "connections.crm: unknown key 'tokn'; did you mean 'token'?"),
    GOOD.replace("    token: env:CRM_TOKEN\n", ""): ("5:3", "key 'token' is missing; write `token: env:TOKEN`"),
    GOOD.replace("env:CRM_TOKEN", CANARY): ("7:12", "token is a secret: name where it is (env:NAME"),
    GOOD.replace("CRM_TOKEN", "NOT_SET"): ("7:12", "looked for environment variable NOT_SET: it is not set"),
    GOOD.replace("env:CRM_TOKEN", "file:gone"): ("7:12", "/gone: No such file or directory"),
    GOOD + "    portal: many\n": ("8:13", "connections.crm.portal must be a whole number"),
    GOOD + "    skip_streams: [deal]\n": ("8:20", "bigcrm has no stream 'deal'; did you mean 'deals'?"),
    GOOD + "    skip_streams: deals\n": ("8:19", "connections.crm.skip_streams must be a list"),
    GOOD + "    patience: -1\n": ("8:15", "should be greater than or equal to 0"),
}  # fmt: skip


@pytest.mark.parametrize("text", ONE_FAULT)
def test_each_fault_is_told_at_its_place_with_its_remedy(write: Any, installed: Plugins, text: str) -> None:
    place, words = ONE_FAULT[text]
    found = faults(write, installed, text if "workspace:" in text else GOOD + text + "\n")
    told = [fault for fault in found if words in fault]
    assert told, found
    assert told[0].startswith(f"cssync.yaml:{place}: "), told[0]


def test_most_faulty_files_have_exactly_the_fault_they_have(write: Any, installed: Plugins) -> None:
    """No fault drags others along, but where a line really has two: a misspelt key is unknown, and missing."""
    for text in ONE_FAULT:
        found = faults(write, installed, text if "workspace:" in text else GOOD + text + "\n")
        required = "tokn" in text or text.startswith(("a: ", 'locale: "e'))
        assert len(found) == (2 if required else 1), (text, found)


def test_all_faults_of_a_file_are_told_at_once_in_order(write: Any, installed: Plugins) -> None:
    found = faults(
        write,
        installed,
        """\
        workspace: acme
        workspace: other
        timezone: Mars/Olympus
        curency: JPY
        connections:
          crm: {connector: bigcrm, token: env:NOT_SET, portl: 1}
          help: {connector: dsk}
        fields:
          crm.companies: {a: contract.nope, b: &x account.name}
        rules: [nope]
        writeback: {crm: {to: companies, fields: {b: health.score, c: nope}}}
        limits: {changes: lots}
        """,
    )
    assert [fault.split(":")[1] for fault in found] == [
        *("1", "2", "3", "4", "6", "6", "7", "9", "9", "10", "11", "11", "12")
    ]
    assert "rules must not read what they write" in "\n".join(found)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "must be a mapping of keys"),
        (b"- a\n", "must be a mapping of keys"),
        (b"a: \xff\xfe\n", "not UTF-8 text"),
        (b"a: [" + b"[" * 50_000, "nested deeper than 30 levels"),
        (b"x: " + b"y" * 1_000_001, "larger than 1,000,000 bytes"),
        (b"a: &a [" + b"*a," * 1000 + b"]", "anchors and aliases are not read"),
        (b"a: [" + b"x," * 400_000 + b"]", "more than 20,000 values"),
        (b"a: &a x\n" * 50_000, "100 faults in .*"),
    ],
)
def test_a_hostile_file_is_refused_with_words(tmp_path: Path, installed: Plugins, raw: bytes, words: str) -> None:
    path = tmp_path / "cssync.yaml"
    path.write_bytes(raw)
    with pytest.raises(FaultyFileError, match=words):
        load_workspace(path, installed=installed)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_workspace(tmp_path / "cssync.yaml")
    assert "cssync init" in caught.value.fix


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(write: Any, installed: Plugins) -> None:
    path = write(GOOD)
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_workspace(path, installed=installed).name == "acme"


def test_without_secrets_no_reference_is_followed_and_the_rest_is_still_checked(write: Any, installed: Plugins) -> None:
    text = GOOD.replace("env:CRM_TOKEN", "cmd:touch followed")
    text += "  help: {connector: desk, subdomain: env:NOT_SET, email: a@b.example, password: file:gone}\n"
    path = write(text)
    assert load_workspace(path, secrets=False, installed=installed).name == "acme"
    assert not Path("followed").exists()
    with pytest.raises(FaultyFileError, match="unknown key 'emial'"):
        load_workspace(write(text.replace("email", "emial")), secrets=False, installed=installed)


def test_a_literal_secret_is_refused_even_where_no_secret_is_needed_and_never_repeated(
    write: Any, installed: Plugins
) -> None:
    with pytest.raises(FaultyFileError) as caught:
        load_workspace(write(GOOD.replace("env:CRM_TOKEN", CANARY)), secrets=False, installed=installed)
    assert "is a secret" in caught.value.message
    assert CANARY not in str(caught.value.as_dict() if hasattr(caught.value, "as_dict") else caught.value.faults)


def test_a_broken_plugin_is_named_where_its_connector_is_missed(write: Any, installed: Plugins) -> None:
    broken = dataclasses.replace(installed, installed=(Plugin("acme-crm", "x", "d", "1", error="ImportError: y"),))
    found = faults(write, broken, GOOD.replace("bigcrm", "acmecrm"))
    assert "plugin 'acme-crm' failed to load: ImportError: y" in found[0]


def test_a_followed_secret_is_taken_out_of_every_text(write: Any, installed: Plugins) -> None:
    from cssync.http.redaction import redact

    load_workspace(write(GOOD), installed=installed)
    assert CANARY not in redact(f"GET /?token={CANARY}")
