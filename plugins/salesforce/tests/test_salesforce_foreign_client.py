"""simple-salesforce, which nobody here wrote, works with the sandbox as with an org: the sandbox is no echo of ours."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceOperationError,
    SalesforceResourceNotFound,
)

from cssync.sandbox.server import SandboxServer
from cssync_salesforce.connector import CLIENT
from cssync_salesforce.sandbox.org import SalesforceSandbox

DOMAIN = "cssync-demo.my"


class Rerouted(HTTPAdapter):
    """Takes what is meant for Salesforce to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = urlsplit(url)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.url = urlsplit(request.url)._replace(scheme="http", netloc=self.url.netloc).geturl()
        return super().send(request, *args, **{**kwargs, "proxies": None})


@pytest.fixture
def web(server: SandboxServer) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.mount("https://", Rerouted(server.url))
        yield session


@pytest.fixture
def login(web: requests.Session) -> Callable[..., Salesforce]:
    def made(**given: Any) -> Salesforce:
        known = {"consumer_key": CLIENT["client_id"], "consumer_secret": CLIENT["client_secret"], "domain": DOMAIN}
        return Salesforce(session=web, version="66.0", **{**known, **given})

    return made


@pytest.fixture
def client(login: Callable[..., Salesforce]) -> Salesforce:
    return login()


def test_it_logs_in_by_client_credentials_and_is_refused_with_others(login: Callable[..., Salesforce]) -> None:
    assert login().query("SELECT Id FROM Organization")["totalSize"] == 1
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid_client"):
        login(consumer_secret="wrong")


def test_it_logs_in_by_jwt_bearer(org: SalesforceSandbox, time: Any, login: Callable[..., Salesforce]) -> None:
    time.now = datetime.now(UTC)  # this client signs by its own clock
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    org.public_key = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    given = {"consumer_secret": None, "domain": "login", "privatekey": pem}
    assert login(username="cssync@vendor-team.example", **given).query("SELECT Id FROM Organization")["done"]
    with (
        pytest.warns(UserWarning, match="authorize this"),
        pytest.raises(SalesforceAuthenticationFailed, match="approved"),
    ):
        login(username="nobody@x.example", **given)


def test_a_session_id_works_until_it_ends(org: SalesforceSandbox, web: requests.Session, client: Salesforce) -> None:
    second = Salesforce(
        session=web, session_id=client.session_id, instance_url=f"https://{client.sf_instance}", version="66.0"
    )
    assert second.limits()["DailyApiRequests"]["Max"] == org.daily
    assert second.api_usage["api-usage"].used == org.used
    org.expire_tokens()
    with pytest.raises(SalesforceExpiredSession):
        second.limits()


def test_it_follows_locators_to_the_end(org: SalesforceSandbox, client: Salesforce) -> None:
    org.batch = 10
    first = client.query("SELECT Id, Name FROM Contact")
    assert (first["done"], len(first["records"])) == (False, 10)
    rest = client.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    assert len(rest["records"]) == 10
    everything = client.query_all("SELECT Id, Account.Name FROM Contact ORDER BY Id")
    assert [r["Id"] for r in everything["records"]] == sorted(org.tables["Contact"])
    assert everything["totalSize"] == len(everything["records"])
    gone = sorted(org.tables["Contact"])[0]
    org.delete("Contact", gone)
    assert gone not in {r["Id"] for r in client.query_all_iter("SELECT Id FROM Contact")}
    assert gone in {r["Id"] for r in client.query_all_iter("SELECT Id FROM Contact", include_deleted=True)}
    assert client.query("SELECT COUNT() FROM Contact")["totalSize"] == len(org.tables["Contact"]) - 1


def test_a_bad_query_is_refused_in_the_vendors_words(client: Salesforce) -> None:
    for query, code in (
        ("SELECT Nope__c FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nope__c", "INVALID_TYPE"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
    ):
        with pytest.raises(SalesforceMalformedRequest) as refused:
            client.query(query)
        assert refused.value.content[0]["errorCode"] == code


def test_it_reads_a_bulk_job_to_the_end_of_its_locators(org: SalesforceSandbox, client: Salesforce) -> None:
    pages = list(client.bulk2.Contact.query("SELECT Id, Name FROM Contact", max_records=7, wait=0))
    rows = [row for page in pages for row in csv.DictReader(io.StringIO(page))]
    assert {r["Id"]: r["Name"] for r in rows} == {k: r["Name"] for k, r in org.tables["Contact"].items()}
    assert len(pages) == -(-len(rows) // 7)
    org.delete("Contact", rows[0]["Id"])
    left = list(client.bulk2.Contact.query("SELECT Id FROM Contact", wait=0))
    assert left[0].count("\n") == len(rows)
    every = list(client.bulk2.Contact.query_all("SELECT Id FROM Contact", wait=0))
    assert every[0].count("\n") == len(rows) + 1
    assert len(org.jobs.held) == 3
    empty = list(client.bulk2.Case.query("SELECT Id FROM Case WHERE Subject = 'none'", wait=0))
    assert empty == ['"Id"\n']


def test_a_bulk_job_that_fails_or_is_refused_says_so(org: SalesforceSandbox, client: Salesforce) -> None:
    with pytest.raises(SalesforceMalformedRequest, match="compound"):
        list(client.bulk2.Account.query("SELECT BillingAddress FROM Account", wait=0))
    org.jobs.fails = "InternalServerError"
    with pytest.raises(SalesforceOperationError, match="InternalServerError"):
        list(client.bulk2.Account.query("SELECT Id FROM Account", wait=0))


def test_it_describes_reads_and_writes_records(org: SalesforceSandbox, client: Salesforce) -> None:
    described = client.Account.describe()
    assert {f["name"] for f in described["fields"]} >= {"Id", "Name", "SystemModstamp", "BillingAddress"}
    key = client.Account.create({"Name": "O'Dell & Söhne"})["id"]
    assert client.Account.update(key, {"Industry": "Retail"}) == 204
    assert client.Account.get(key)["Industry"] == "Retail"
    assert client.Account.delete(key) == 204
    with pytest.raises(SalesforceResourceNotFound):
        client.Account.get(key)
    with pytest.raises(SalesforceMalformedRequest):
        client.Account.update(next(iter(org.tables["Account"])), {"Nope__c": 1})


def test_a_collection_is_answered_record_by_record(org: SalesforceSandbox, client: Salesforce) -> None:
    one, two, *_ = org.tables["Account"]
    records = [
        {"attributes": {"type": "Account"}, "id": one, "Industry": "Finance"},
        {"attributes": {"type": "Account"}, "id": two, "Nope__c": 1},
    ]
    results: Any = client.restful("composite/sobjects", method="PATCH", json={"allOrNone": False, "records": records})
    assert [r["success"] for r in results] == [True, False]
    assert results[1]["errors"][0]["statusCode"].startswith("INVALID_FIELD")
    assert org.tables["Account"][one]["Industry"] == "Finance"


def test_a_bulk_job_writes_rows_and_tells_which_it_refused(
    org: SalesforceSandbox, client: Salesforce, tmp_path: Path
) -> None:
    one, two, *_ = org.tables["Account"]
    (file := tmp_path / "rows.csv").write_text(
        f"Id,Industry,NumberOfEmployees\n{one},Retail,7\n{two},Retail,many\n", encoding="utf-8"
    )
    (told,) = client.bulk2.Account.update(str(file), wait=0)
    assert (told["numberRecordsProcessed"], told["numberRecordsFailed"]) == (2, 1)
    assert one in client.bulk2.Account.get_successful_records(told["job_id"])
    assert two in client.bulk2.Account.get_failed_records(told["job_id"])
    assert client.bulk2.Account.get_unprocessed_records(told["job_id"]).count("\n") <= 1
    assert org.tables["Account"][one]["Industry"] == "Retail"


def test_a_field_it_makes_is_invisible_until_shown_and_then_a_key_to_upsert_by(
    org: SalesforceSandbox, client: Salesforce
) -> None:
    about = {"type": "Text", "label": "Key", "length": 80, "externalId": True, "unique": True}
    field = {"FullName": "Account.Foreign_Key__c", "Metadata": about}
    assert client.toolingexecute("sobjects/CustomField", "POST", field)["success"]
    with pytest.raises(SalesforceMalformedRequest, match="Foreign_Key__c"):
        client.query("SELECT Foreign_Key__c FROM Account")
    org.hidden.discard("Account.Foreign_Key__c")
    assert client.Account.upsert("Foreign_Key__c/k-1", {"Name": "New"}) == 201
    assert client.Account.upsert("Foreign_Key__c/k-1", {"Name": "Newer"}) in (200, 204)
    found = client.query("SELECT Name FROM Account WHERE Foreign_Key__c = 'k-1'")
    assert [r["Name"] for r in found["records"]] == ["Newer"]
