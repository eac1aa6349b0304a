"""zenpy, which nobody here wrote, works with the sandbox as with an account: the sandbox is no echo of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from zenpy import Zenpy
from zenpy.lib.api_objects import Comment, Organization, OrganizationField, Ticket
from zenpy.lib.exception import APIException, RecordNotFoundException

from cssync.sandbox.server import SandboxServer
from cssync_zendesk.sandbox import API_TOKEN, CLIENT, ZendeskSandbox


class Rerouted(HTTPAdapter):
    """Takes what is meant for Zendesk to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = urlsplit(url)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        there = request.copy()
        there.url = urlsplit(request.url)._replace(scheme="http", netloc=self.url.netloc).geturl()
        answer = super().send(there, *args, **{**kwargs, "proxies": None})
        # The client reads from the address of an answer what kind of answer it is.
        answer.url = answer.request.url = (
            urlsplit(request.url)._replace(scheme="https", netloc="acme.zendesk.com").geturl()
        )
        return answer


@pytest.fixture
def web(server: SandboxServer) -> Iterator[Callable[[], requests.Session]]:
    made: list[requests.Session] = []

    def opened() -> requests.Session:
        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, Rerouted(server.url))
        made.append(session)
        return session

    yield opened
    for session in made:
        session.close()


@pytest.fixture
def login(web: Callable[[], requests.Session]) -> Callable[..., Zenpy]:
    def made(**given: Any) -> Zenpy:
        known = {"email": API_TOKEN[0], "token": API_TOKEN[1]}
        return Zenpy(subdomain="acme", session=web(), disable_cache=True, **(given or known))

    return made


@pytest.fixture
def client(login: Callable[..., Zenpy]) -> Zenpy:
    return login()


def test_it_logs_in_by_api_token_and_is_refused_with_another(login: Callable[..., Zenpy]) -> None:
    assert login().users.me().role == "admin"
    with pytest.raises(APIException, match="authenticate"):
        login(email=API_TOKEN[0], token="wrong").users.me()


def test_it_works_with_a_token_of_the_oauth_client_and_not_with_a_made_up_one(
    web: Callable[[], requests.Session], login: Callable[..., Zenpy]
) -> None:
    asked = {"grant_type": "client_credentials", "client_id": CLIENT[0], "client_secret": CLIENT[1], "scope": "read"}
    granted = web().post("https://acme.zendesk.com/oauth/tokens", json=asked, timeout=10)
    assert granted.status_code == 201
    assert login(oauth_token=granted.json()["access_token"]).users.me().id
    with pytest.raises(APIException, match="invalid_token"):
        login(oauth_token="made-up").users.me()


def test_its_cursor_export_reads_every_ticket_once_with_its_metrics(app: ZendeskSandbox, client: Zenpy) -> None:
    export = list(client.tickets.incremental(start_time=0, per_page=100, include=["metric_sets"]))
    ids = [ticket.id for ticket in export]
    assert len(ids) > 100
    assert sorted(ids) == sorted(app.tickets.records)


def test_its_cursor_export_reads_every_user(app: ZendeskSandbox, client: Zenpy) -> None:
    ids = [user.id for user in client.users.incremental(start_time=0, per_page=20)]
    assert sorted(ids) == sorted(app.users.records)


def test_its_time_export_ends_and_reads_every_organization(app: ZendeskSandbox, client: Zenpy) -> None:
    """It follows `next_page` and repeats the boundary second, as it must with the real export."""
    ids = [organization.id for organization in client.organizations.incremental(start_time=0, per_page=7)]
    assert set(ids) == set(app.organizations.records)


def test_it_defines_a_field_writes_it_and_reads_it_back(app: ZendeskSandbox, client: Zenpy) -> None:
    made = client.organization_fields.create(OrganizationField(key="cs_score", type="integer", title="Score"))
    assert made.id
    key = min(app.organizations.records)
    client.organizations.update(Organization(id=key, organization_fields={"cs_score": 70}))
    assert app.organizations.records[key]["organization_fields"]["cs_score"] == 70
    assert key not in {o.id for o in client.organizations.incremental(start_time=0)}  # the last minute is withheld
    later = app.now() + 120
    app.clock = lambda: later
    [read] = [o for o in client.organizations.incremental(start_time=0) if o.id == key]
    assert read.organization_fields["cs_score"] == 70


def test_its_update_of_many_is_a_job_that_has_to_be_followed(app: ZendeskSandbox, client: Zenpy) -> None:
    client.organization_fields.create(OrganizationField(key="cs_score", type="integer", title="Score"))
    first, second, third = sorted(app.organizations.records)[:3]
    app.delete_organization(third)
    wanted = [Organization(id=key, organization_fields={"cs_score": 50}) for key in (first, second, third)]
    job = client.organizations.update(wanted)
    assert job.status == "queued"
    while job.status != "completed":
        job = client.job_status(id=job.id)
    outcomes = {row["id"]: row.get("error") for row in job.to_dict()["results"]}
    assert outcomes == {first: None, second: None, third: "OrganizationNotFound"}


def test_an_unknown_organization_is_not_found(client: Zenpy) -> None:
    with pytest.raises(RecordNotFoundException):
        client.organizations.update(Organization(id=1, name="nobody"))


def test_it_reads_organizations_by_their_ids_and_not_those_that_are_gone(app: ZendeskSandbox, client: Zenpy) -> None:
    some = sorted(app.organizations.records)[:3]
    app.delete_organization(some[1])
    assert [o.id for o in client.organizations(ids=some)] == [some[0], some[2]]


def test_it_makes_a_ticket_that_is_in_the_next_export_and_changes_it(app: ZendeskSandbox, client: Zenpy) -> None:
    key = min(app.organizations.records)
    comment = Comment(body="Call them", public=False)
    made = client.tickets.create(
        Ticket(subject="Renewal", type="task", organization_id=key, tags=["cssync"], comment=comment)
    )
    made = getattr(made, "ticket", made)
    made.status = "solved"
    client.tickets.update(made)
    later = app.now() + 120
    app.clock = lambda: later
    (read,) = [t for t in client.tickets.incremental(start_time=0) if t.id == made.id]
    assert (read.subject, read.status, read.organization_id) == ("Renewal", "solved", key)
