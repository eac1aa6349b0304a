"""What `cssync fields` proposes to map a field to: by name, label and type, and never twice."""

from __future__ import annotations

import pytest

from cssync.connectors import RemoteField
from cssync.connectors.proposing import ON_ACCOUNTS, ON_OTHERS, proposals
from cssync.model import ENTITY


def field(name: str, kind: str, label: str = "", *, custom: bool = True) -> RemoteField:
    return RemoteField(name, label or name, kind, writable=True, custom=custom)


@pytest.mark.parametrize(
    ("name", "label", "kind", "entity", "target"),
    [
        ("renewal_date", "", "date", "account_source", "contract.end_date"),
        ("Contract_End__c", "契約終了日", "date", "account_source", "contract.end_date"),
        ("x1", "契約開始日", "date", "account_source", "contract.start_date"),
        ("seats_purchased", "", "integer", "account_source", "contract_line.quantity"),
        ("Licenses__c", "", "real", "account_source", "contract_line.quantity"),
        ("arr_usd", "ARR", "money", "account_source", "contract_line.amount"),
        ("csm_owner", "Customer Success Manager", "text", "account_source", "account.csm_source_id"),
        ("wau", "Weekly active users", "real", "account_source", "usage_metric.active_users"),
        ("sfdc_id", "SFDC ID", "text", "account_source", "account.external_id"),
        ("auto_renewal", "Auto-renew", "bool", "account_source", "contract.auto_renew"),
        ("Lost_Reason__c", "", "text", "opportunity", "opportunity.loss_reason"),
        ("custom_fields.360", "Category", "text", "ticket", "ticket.category"),
        ("renewal_date", "", "text", "account_source", ""),
        ("departed_seats_note", "", "text", "account_source", ""),
        ("cs_renewal_date", "Renewal (cssync)", "date", "account_source", ""),
        ("embarrassment", "Embarrassment", "integer", "account_source", ""),
        ("renewal_date", "", "date", "user", ""),
    ],
)
def test_a_field_that_speaks_for_a_column_is_proposed_for_it(
    name: str, label: str, kind: str, entity: str, target: str
) -> None:
    assert proposals([field(name, kind, label)], entity, ()) == ({name: target} if target else {})
    assert proposals([field(name, kind, label, custom=False)], entity, ()) == {}


def test_a_target_is_proposed_once_and_not_where_it_is_fed() -> None:
    two = [field("renewal_date", "date"), field("contract_end", "date"), field("seats", "integer")]
    assert proposals(two, "account_source", ()) == {
        "contract_end": "contract.end_date",
        "seats": "contract_line.quantity",
    }
    assert proposals(two, "account_source", ["contract.end_date"]) == {"seats": "contract_line.quantity"}
    segment = [field("segment", "text")]
    assert proposals(segment, "account_source", ["account_source.segment"]) == {}


def test_every_proposal_is_a_target_of_the_model() -> None:
    for sign in (*ON_ACCOUNTS, *(s for signs in ON_OTHERS.values() for s in signs)):
        entity, _, column = sign.target.replace("account.", "account_source.").partition(".")
        assert entity == "usage_metric" or column in ENTITY[entity].writable, sign.target
