"""HubSpot's own client library works with the sandbox as with an account: the sandbox is no echo of ours.

The library still speaks the paths of v3 and v4; only they are translated to the dated API that the sandbox serves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm.associations.v4 import (
    BatchInputPublicFetchAssociationsBatchRequest,
    PublicFetchAssociationsBatchRequest,
)
from hubspot.crm.companies import (
    ApiException,
    BatchInputSimplePublicObjectBatchInput,
    BatchReadInputSimplePublicObjectId,
    PublicObjectSearchRequest,
    SimplePublicObjectBatchInput,
    SimplePublicObjectId,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)
from hubspot.crm.properties import BatchInputPropertyCreate, PropertyCreate, PropertyGroupCreate

from cssync.sandbox.server import SandboxAnswer, SandboxRequest, serve
from cssync.sandbox.world import World
from cssync_hubspot.sandbox.app import SandboxHubSpot
from cssync_hubspot.settings import API_VERSION

DATED = (
    (r"^/crm/v\d/(objects|properties|associations|pipelines)(/.*)$", rf"/crm/\1/{API_VERSION}\2"),
    (r"^/crm/v\d/owners/?$", f"/crm/owners/{API_VERSION}"),
)


class Dated:
    """Serves the sandbox under the paths that the library knows."""

    def __init__(self, app: SandboxHubSpot) -> None:
        self.app = app

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        path = request.path
        for known, dated in DATED:
            path = re.sub(known, dated, path)
        return self.app.handle(replace(request, path=path))


@pytest.fixture
def app(world: World) -> SandboxHubSpot:
    return SandboxHubSpot(world)


@pytest.fixture
def url(app: SandboxHubSpot) -> Iterator[str]:
    with serve(Dated(app)) as server:
        yield server.url


@pytest.fixture
def client(app: SandboxHubSpot, url: str) -> HubSpot:
    return HubSpot(access_token=app.token, host=url)


def test_it_is_refused_with_another_token(url: str) -> None:
    with pytest.raises(ApiException) as refused:
        HubSpot(access_token="wrong", host=url).crm.companies.basic_api.get_page()
    assert refused.value.status == 401


def test_it_pages_through_every_company(app: SandboxHubSpot, client: HubSpot) -> None:
    app.list_page = 7
    found = client.crm.companies.get_all(properties=["name"])
    live = {t.id: t.properties["name"] for t in app.portal.things["companies"].values() if not t.archived}
    assert {c.id: c.properties["name"] for c in found} == live


def test_it_reads_a_batch_without_what_is_not_there(app: SandboxHubSpot, client: HubSpot) -> None:
    first = client.crm.companies.basic_api.get_page(limit=1).results[0]
    asked = BatchReadInputSimplePublicObjectId(
        properties=["name"],
        properties_with_history=[],
        inputs=[SimplePublicObjectId(id=first.id), SimplePublicObjectId(id="1")],
    )
    answer = client.crm.companies.batch_api.read(asked)
    assert [r.id for r in answer.results] == [first.id]


def test_it_searches_and_meets_the_cap(app: SandboxHubSpot, client: HubSpot) -> None:
    app.search_cap = 20
    asked = PublicObjectSearchRequest(
        filter_groups=[], sorts=["hs_object_id"], properties=["name"], limit=10, after="0"
    )
    found = client.crm.companies.search_api.do_search(asked)
    assert len(found.results) == 10
    assert found.total > 20
    asked.after = "20"
    with pytest.raises(ApiException) as refused:
        client.crm.companies.search_api.do_search(asked)
    assert refused.value.status == 400


def test_it_creates_updates_and_archives(app: SandboxHubSpot, client: HubSpot) -> None:
    api = client.crm.companies.basic_api
    made = api.create(SimplePublicObjectInputForCreate(properties={"name": "Neu"}, associations=[]))
    other = api.create(SimplePublicObjectInputForCreate(properties={"name": "Alt"}, associations=[]))
    api.update(made.id, SimplePublicObjectInput(properties={"name": "Neuer"}))
    assert api.get_by_id(made.id, properties=["name"]).properties["name"] == "Neuer"
    batch = BatchInputSimplePublicObjectBatchInput(
        inputs=[SimplePublicObjectBatchInput(id=made.id, properties={"name": "Am neuesten"})]
    )
    assert client.crm.companies.batch_api.update(batch).results[0].properties["name"] == "Am neuesten"
    api.archive(other.id)
    with pytest.raises(ApiException) as gone:
        api.get_by_id(other.id)
    assert gone.value.status == 404
    assert other.id in {c.id for c in client.crm.companies.get_all(archived=True)}


def test_it_reads_associations_to_their_end(app: SandboxHubSpot, client: HubSpot) -> None:
    company = app.portal.add("companies", {"name": "Big"})
    people = [app.portal.add("contacts", {"email": f"p{n}@big.example"}) for n in range(5)]
    for person in people:
        app.portal.link("companies", company.id, "contacts", person.id)
    app.association_page = 2
    found: list[str] = []
    after: str | None = None
    while True:
        one = PublicFetchAssociationsBatchRequest(id=company.id, after=after)
        answer = client.crm.associations.v4.batch_api.get_page(
            "companies", "contacts", BatchInputPublicFetchAssociationsBatchRequest(inputs=[one])
        )
        found += [str(link.to_object_id) for link in answer.results[0].to]
        paging: Any = answer.results[0].paging
        if paging is None or paging.next is None:
            break
        after = paging.next.after
    assert sorted(found) == sorted(p.id for p in people)


def test_it_defines_a_property_once(client: HubSpot) -> None:
    wanted = PropertyCreate(name="cs_x", label="X", type="number", field_type="number", group_name="cssync")
    client.crm.properties.groups_api.create("companies", PropertyGroupCreate(name="cssync", label="cssync"))
    batch = BatchInputPropertyCreate(inputs=[wanted])
    client.crm.properties.batch_api.create("companies", batch)
    assert [p.name for p in client.crm.properties.core_api.get_all("companies").results].count("cs_x") == 1


def test_it_reads_owners_and_pipelines(client: HubSpot) -> None:
    assert client.crm.owners.get_all()
    assert client.crm.pipelines.pipelines_api.get_all("tickets").results


def test_it_merges_two_companies_and_the_survivor_names_the_other(client: HubSpot, url: str) -> None:
    api = client.crm.companies.basic_api
    made, other = (
        api.create(SimplePublicObjectInputForCreate(properties={"name": name}, associations=[])) for name in ("A", "B")
    )
    wanted = {"primaryObjectId": made.id, "objectIdToMerge": other.id}
    request = {"base_url": url, "method": "POST", "path": "/crm/v3/objects/companies/merge", "body": wanted}
    assert client.api_request(request).json()["id"] == made.id
    held = api.get_by_id(made.id, properties=["hs_merged_object_ids"])
    assert held.properties["hs_merged_object_ids"] == other.id
    assert other.id not in {
        c.id for c in (*client.crm.companies.get_all(), *client.crm.companies.get_all(archived=True))
    }


def test_its_search_by_time_and_id_finds_what_the_keyset_windows_ask_for(app: SandboxHubSpot, client: HubSpot) -> None:
    made = [app.portal.add("companies", {"name": f"New {n}"}) for n in range(5)]
    at = made[0].properties["hs_lastmodifieddate"]
    bounds = (("hs_lastmodifieddate", "GTE", at), ("hs_object_id", "GT", made[1].id))
    filters = [{"propertyName": name, "operator": how, "value": value} for name, how, value in bounds]
    asked = PublicObjectSearchRequest(
        filter_groups=[{"filters": filters}], sorts=["hs_object_id"], properties=["name"], limit=200, after="0"
    )
    found = client.crm.companies.search_api.do_search(asked)
    assert [c.id for c in found.results] == [t.id for t in made[2:]]


def test_it_lists_contacts_with_their_companies(app: SandboxHubSpot, client: HubSpot) -> None:
    page = client.crm.contacts.basic_api.get_page(limit=100, associations=["companies"])
    held = {c.id: [link.id for link in c.associations["companies"].results] for c in page.results if c.associations}
    assert held
    assert all(set(ids) == set(app.portal.links["contacts", "companies"][i]) for i, ids in held.items())


def test_it_creates_many_with_an_outcome_for_each(client: HubSpot, url: str) -> None:
    inputs = [
        {"properties": {"name": "Good"}, "objectWriteTraceId": "1", "associations": []},
        {"properties": {"numberofemployees": "many"}, "objectWriteTraceId": "2", "associations": []},
    ]
    request = {
        "base_url": url,
        "method": "POST",
        "path": "/crm/v3/objects/companies/batch/create",
        "body": {"inputs": inputs},
    }
    answer = client.api_request(request).json()
    assert [r["properties"]["name"] for r in answer["results"]] == ["Good"]
    assert [e["context"]["objectWriteTraceId"] for e in answer["errors"]] == [["2"]]
