"""No secret, in whatever form, in any error or log record."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus
from zoneinfo import ZoneInfo

import pytest
import respx

from cssync.connectors import (
    Answer,
    ConnectionSettings,
    Connector,
    Identity,
    Secret,
    Token,
    Vendor,
    Verdict,
    judge_by_status,
)
from cssync.errors import ConnectionFault, CssyncError
from cssync.http import install, open_session, redact
from cssync.http.clock import ManualClock
from cssync.http.redaction import MASK, remember

CANARY = 'can/ary+"sé\\cret"=&<\' 1'

FORMS = {
    "plain": CANARY,
    "in a url": quote(CANARY, safe=""),
    "in a path": quote(CANARY),
    "in a form": quote_plus(CANARY),
    "lower-case escapes": quote(CANARY, safe="").replace("%2F", "%2f").replace("%C3%A9", "%c3%a9").lower(),
    "json": json.dumps({"token": CANARY}),
    "json with letters": json.dumps({"token": CANARY}, ensure_ascii=False),
    "json with escaped slashes": json.dumps({"token": CANARY}).replace("/", "\\/"),
    "repr": repr({"token": CANARY}),
    "html": html.escape(CANARY),
    "base64": base64.b64encode(CANARY.encode()).decode(),
    "base64 for urls": base64.urlsafe_b64encode(CANARY.encode()).decode(),
    **{f"basic after {n}": base64.b64encode(("u" * n + ":" + CANARY + "!" * n).encode()).decode() for n in range(1, 7)},
}
PARTS = ("can/ary", "can%2f", "s\\u00e9", "sé", "cret")


@pytest.fixture(autouse=True)
def known() -> None:
    remember([CANARY])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_is_masked(form: str) -> None:
    cleaned = redact(f"before {form} after")
    assert MASK in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")
    assert not any(part in cleaned.lower() for part in PARTS)
    raw = CANARY.encode()
    for start in range(len(raw) - 9):
        assert base64.b64encode(raw[start : start + 9]).decode() not in cleaned


def test_a_text_without_secrets_is_left_alone() -> None:
    text = "GET /crm/objects/2026-09/companies answered 403: missing scope"
    assert redact(text) == text


def test_a_value_too_short_to_hide_is_not_looked_for() -> None:
    remember(["a", "1"])
    assert redact("a 1 banana") == "a 1 banana"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """What a handler of somebody's own writes; it knows nothing of secrets."""
    install()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("somebodys.plugin")
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_log_records_are_cleaned_wherever_they_go(output: io.StringIO, form: str) -> None:
    logging.getLogger("somebodys.plugin").error("sent %s and %d", form, 7)
    assert "and 7" in output.getvalue()
    assert not any(part in output.getvalue().lower() for part in PARTS)


def test_tracebacks_in_the_log_are_cleaned(output: io.StringIO) -> None:
    try:
        raise ValueError(f"bad header {CANARY}")
    except ValueError:
        logging.getLogger("somebodys.plugin").exception("request failed")
    assert "ValueError: bad header [redacted]" in output.getvalue()
    assert not any(part in output.getvalue().lower() for part in PARTS)


def test_a_badly_formed_log_call_is_cleaned_too(output: io.StringIO) -> None:
    logging.getLogger("somebodys.plugin").error(f"{CANARY} %d", "x")  # noqa: G004
    assert MASK in output.getvalue()
    assert not any(part in output.getvalue().lower() for part in PARTS)


def test_installing_twice_changes_nothing() -> None:
    install()
    factory = logging.getLogRecordFactory()
    install()
    assert logging.getLogRecordFactory() is factory
    assert logging.getLogger("httpx").level == logging.WARNING


class Settings(ConnectionSettings):
    client_secret: Secret


def fault_of(answer: dict[str, Any], **vendor: Any) -> CssyncError:
    target = Connector(
        name="vendor",
        title="Vendor",
        config=Settings,
        streams=(),
        hosts=r"api\.vendor\.example",
        vendor=lambda settings: Vendor(
            **{"base_url": "https://api.vendor.example", "judge": judge_by_status, **vendor}
        ),
        identity=lambda session: Identity("1", "Vendor", "sandbox"),
    )
    with respx.mock() as router:
        router.route().respond(**answer)
        with (
            open_session(
                target,
                Settings.model_validate({"connector": "vendor", "client_secret": "canary-secret-9"}),
                connection="crm",
                timezone=ZoneInfo("UTC"),
                clock=ManualClock(),
            ) as session,
            pytest.raises(CssyncError) as raised,
        ):
            session.get("/records")
    return raised.value


def echoing(answer: Answer) -> Verdict:
    return Verdict("fail", message=f"we got {answer.content.decode()}", fix=f"not {answer.content.decode()}")


@pytest.mark.parametrize("status", [400, 401, 403, 422])
@pytest.mark.parametrize("secret", ["canary-secret-9", "canary-token-9", "canary-static-9"])
def test_an_answer_that_echoes_a_credential_is_not_passed_on(status: int, secret: str) -> None:
    fault = fault_of(
        {"status_code": status, "text": f"Authorization: Bearer {secret}"},
        judge=echoing,
        headers={"X-Api-Key": "canary-static-9"},
        login=lambda send: Token("canary-token-9"),
    )
    assert MASK in fault.message
    assert "canary" not in f"{fault}{fault.message}{fault.kept}{fault.fix}"


def test_a_failing_login_is_told_without_what_was_sent() -> None:
    def login(send: Any) -> Token:
        answer = send("POST", "/token", data={"client_secret": "canary-secret-9"})
        raise ConnectionFault(f"refused: {answer.content.decode()}", fix="check canary-secret-9")

    fault = fault_of({"status_code": 400, "text": "bad secret canary-secret-9"}, login=login)
    assert "canary" not in f"{fault}{fault.message}{fault.kept}{fault.fix}"
    assert "refused: bad secret [redacted]" in fault.message


def test_a_login_that_trips_over_its_answer_is_a_fault_and_no_traceback() -> None:
    def login(send: Any) -> Token:
        return Token(send("POST", "/token").json()["access_token"])

    fault = fault_of({"json": {"error": "canary-secret-9"}}, login=login)
    assert isinstance(fault, ConnectionFault)
    assert "'crm': the login answer could not be read (KeyError)" in fault.message
