"""The objects of the sandbox org and their fields, as `describe` tells them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Described = dict[str, Any]

PREFIXES = {
    "Account": "001", "Contact": "003", "User": "005", "Opportunity": "006", "Contract": "800", "Case": "500",
    "Asset": "02i", "OpportunityLineItem": "00k", "Event": "00U",
    "Task": "00T", "Product_Usage__c": "a01", "Organization": "00D", "PermissionSet": "0PS", "FieldPermissions": "01k",
    "PermissionSetAssignment": "0Pa", "TaskStatus": "01T", "OpportunityStage": "01J", "CustomField": "00N",
}  # fmt: skip

_TYPES = {"text": "string", "long": "textarea", "choice": "picklist", "choices": "multipicklist", "number": "double"}
READ_ONLY = frozenset(
    ("Id", "IsDeleted", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp",
     "MasterRecordId", "IsClosed", "IsWon", "ContractNumber", "CaseNumber", "EndDate", "ClosedDate", "AccountId")
)  # fmt: skip
ALWAYS_VISIBLE = READ_ONLY | {"Name", "OwnerId", "Subject", "Status", "StageName", "CloseDate", "StartDate", "WhatId",
                              "Priority", "ActivityDate", "Email", "IsActive"}  # fmt: skip
"""Fields to which field-level security does not apply, or which every profile sees."""


def field(spec: str, options: Iterable[str] = (), *, custom: bool | None = None, **more: Any) -> Described:
    """Make a field out of `Name:type` or `Name:reference>Account`; `type` is Salesforce's or a word of `_TYPES`."""
    name, _, kind = spec.partition(":")
    kind, _, target = (kind or "text").partition(">")
    kind = _TYPES.get(kind, kind)
    is_custom = name.endswith("__c") if custom is None else custom
    relation = name.removesuffix("Id") if target and name.endswith("Id") else name.replace("__c", "__r")
    return {
        "name": name,
        "label": name.removesuffix("__c").replace("_", " "),
        "type": kind,
        "length": {"string": 255, "textarea": 32000, "id": 18, "reference": 18, "picklist": 255}.get(kind, 0),
        "precision": 18 if kind in ("double", "currency", "percent") else 0,
        "scale": 2 if kind == "currency" else 0,
        "digits": 0,
        "createable": name not in READ_ONLY,
        "updateable": name not in READ_ONLY,
        "nillable": kind != "boolean",
        "defaultedOnCreate": kind == "boolean",
        "calculated": False,
        "custom": is_custom,
        "externalId": False,
        "idLookup": name == "Id",
        "unique": False,
        "filterable": kind != "textarea",
        "sortable": kind != "textarea",
        "groupable": False,
        "restrictedPicklist": False,
        "referenceTo": [target] if target else [],
        "relationshipName": relation if target else None,
        "compoundFieldName": None,
        "permissionable": name not in ALWAYS_VISIBLE,
        "picklistValues": [
            {"value": o, "label": o, "active": True, "defaultValue": n == 0, "validFor": None}
            for n, o in enumerate(options)
        ],
        **more,
    }


def _object(*fields: Described, deletable: bool = True, merges: bool = False) -> dict[str, Described]:
    system = ["Id:id", "CreatedDate:datetime", "CreatedById:reference>User", "LastModifiedDate:datetime",
              "LastModifiedById:reference>User", "SystemModstamp:datetime"]  # fmt: skip
    if deletable:
        system.append("IsDeleted:boolean")
    if merges:
        system.append("MasterRecordId:reference")
    return {f["name"].casefold(): f for f in (*(field(s) for s in system), *fields)}


def objects() -> dict[str, dict[str, Described]]:
    """Return a fresh copy of the schema: object -> field in lower case -> description."""
    currency = field("CurrencyIsoCode:choice", ("USD", "JPY", "EUR"))
    owner = field("OwnerId:reference>User")
    account = field("AccountId:reference>Account", createable=True)
    account["updateable"] = True
    return {
        "Account": _object(
            field("Name"),
            field("Type:choice", ("Prospect", "Customer - Direct", "Customer - Channel", "Other")),
            field("Website:url"),
            field("Industry:choice", ("Technology", "Manufacturing", "Retail", "Finance", "Other")),
            field("BillingAddress:address", updateable=False, createable=False, filterable=False),
            field("BillingCity", compoundFieldName="BillingAddress"),
            field("BillingCountry", compoundFieldName="BillingAddress"),
            field("NumberOfEmployees:int"),
            field("AccountNumber"),
            field("ParentId:reference>Account"),
            owner,
            field("Segment__c:choice", ("enterprise", "mid-market", "smb")),
            currency,
            merges=True,
        ),
        "Contact": _object(
            field("Name", updateable=False),
            field("Email:email"),
            field("Title"),
            account,
            field("EmailBouncedDate:datetime"),
            field("Role__c:choice", ("champion", "exec_sponsor", "admin", "user", "billing")),
            owner,
            merges=True,
        ),
        "User": _object(
            field("Name", updateable=False),
            field("Email:email"),
            field("Username"),
            field("IsActive:boolean"),
            field("UserType:choice", ("Standard", "AutomatedProcess")),
            field("ManagerId:reference>User"),
            field("TimeZoneSidKey"),
            deletable=False,
        ),
        "Opportunity": _object(
            field("Name"),
            account,
            field("StageName:choice", ("Qualification", "Proposal/Price Quote", "Negotiation/Review", "Closed Won",
                                       "Closed Lost")),
            field("Type:choice", ("New Business", "Renewal", "Existing Customer - Upgrade", "Cross-sell",
                                  "Existing Customer - Downgrade")),
            field("Amount:currency"),
            field("CloseDate:date"),
            field("Probability:percent"),
            field("IsClosed:boolean"),
            field("IsWon:boolean"),
            field("ContractId:reference>Contract"),
            field("Description:long"),
            owner,
            currency,
        ),
        "Contract": _object(
            field("ContractNumber"),
            account,
            field("StartDate:date"),
            field("EndDate:date"),
            field("ContractTerm:int"),
            field("Status:choice", ("Draft", "In Approval Process", "Activated", "Expired", "Terminated")),
            owner,
            field("Seats__c:number"),
            field("Seat_Price__c:currency"),
            field("Auto_Renew__c:boolean"),
            field("Notice_Days__c:number"),
            currency,
        ),
        "OpportunityLineItem": _object(
            field("Name", updateable=False),
            field("OpportunityId:reference>Opportunity"),
            field("ProductCode", updateable=False),
            field("Quantity:number"),
            field("UnitPrice:currency"),
            field("TotalPrice:currency"),
            field("ServiceDate:date"),
            currency,
        ),
        "Event": _object(field("Subject"), account, owner, field("EndDateTime:datetime")),
        "Asset": _object(
            field("Name"),
            account,
            field("ProductCode", updateable=False),
            field("Quantity:number"),
            field("Price:currency"),
            field("InstallDate:date"),
            field("UsageEndDate:date"),
            field("Status:choice", ("Purchased", "Shipped", "Installed", "Registered", "Obsolete")),
            field("IsCompetitorProduct:boolean"),
            currency,
        ),
        "Case": _object(
            field("CaseNumber"),
            account,
            field("ContactId:reference>Contact"),
            field("Subject"),
            field("Status:choice", ("New", "Working", "Escalated", "Closed")),
            field("Priority:choice", ("High", "Medium", "Low")),
            field("Type:choice", ("Problem", "Question", "Feature Request")),
            field("Reason"),
            field("IsClosed:boolean"),
            field("IsEscalated:boolean"),
            field("ClosedDate:datetime"),
            owner,
        ),
        "Task": _object(
            field("Subject"),
            field("WhatId:reference>Account"),
            field("WhoId:reference>Contact"),
            field("AccountId:reference>Account"),
            field("Status:choice", ("Not Started", "In Progress", "Completed", "Deferred")),
            field("Priority:choice", ("Normal", "High", "Low")),
            field("ActivityDate:date"),
            field("Description:long"),
            field("IsClosed:boolean"),
            owner,
        ),
        "Product_Usage__c": _object(
            field("Name"),
            field("Account__c:reference>Account"),
            field("Day__c:date"),
            field("Active_Users__c:number"),
        ),
        "Organization": _object(
            field("Name"), field("IsSandbox:boolean"), field("TimeZoneSidKey"), field("OrganizationType"),
            deletable=False,
        ),
        "TaskStatus": _object(
            field("MasterLabel"), field("ApiName"), field("IsClosed:boolean"), field("IsDefault:boolean"),
            deletable=False,
        ),
        "OpportunityStage": _object(
            field("MasterLabel"), field("ApiName"), field("IsActive:boolean"), field("IsClosed:boolean"),
            field("SortOrder:int"), deletable=False,
        ),
        "PermissionSet": _object(field("Name"), field("Label"), deletable=False),
        "FieldPermissions": _object(
            field("ParentId:reference>PermissionSet"), field("SobjectType"), field("Field"),
            field("PermissionsRead:boolean"), field("PermissionsEdit:boolean"), deletable=False,
        ),
        "PermissionSetAssignment": _object(
            field("PermissionSetId:reference>PermissionSet"), field("AssigneeId:reference>User"), deletable=False
        ),
    }  # fmt: skip


METADATA_TYPES = {
    "Text": "string", "Number": "double", "Checkbox": "boolean", "Date": "date", "DateTime": "datetime",
    "Picklist": "picklist", "MultiselectPicklist": "multipicklist", "LongTextArea": "textarea", "Percent": "percent",
    "Currency": "currency", "Url": "url", "Email": "email", "Lookup": "reference",
}  # fmt: skip


def custom_field(name: str, metadata: dict[str, Any]) -> Described:
    """Return the description of a field created through the Tooling API.

    Raises:
        ValueError: the metadata is not complete; the text is the vendor's.
    """
    kind = METADATA_TYPES.get(str(metadata.get("type")))
    if kind is None:
        raise ValueError(f"'{metadata.get('type')}' is not a valid value for the enum 'FieldType'")
    if not metadata.get("label"):
        raise ValueError("Required field is missing: label")
    if kind == "boolean" and "defaultValue" not in metadata:
        raise ValueError("Must specify 'defaultValue' for a CustomField of type Checkbox")
    if kind == "textarea" and not metadata.get("visibleLines"):
        raise ValueError("Must specify 'visibleLines' for a CustomField of type LongTextArea")
    if metadata["type"] == "Text" and not metadata.get("length"):
        raise ValueError("Must specify 'length' for a CustomField of type Text")
    if kind in ("double", "currency", "percent") and not {"precision", "scale"} <= set(metadata):
        raise ValueError(f"Must specify 'precision' and 'scale' for a CustomField of type {metadata['type']}")
    value_set = metadata.get("valueSet") or {}
    values = value_set.get("valueSetDefinition", {}).get("value", [])
    if kind in ("picklist", "multipicklist") and not values:
        raise ValueError("Picklist field must have a value set")
    made = field(f"{name}:{kind}", [v["fullName"] for v in values], custom=True)
    made.update(
        label=metadata["label"],
        length=metadata.get("length") or made["length"],
        scale=metadata.get("scale", made["scale"]),
        precision=metadata.get("precision", made["precision"]),
        externalId=bool(metadata.get("externalId")),
        idLookup=bool(metadata.get("externalId")),
        unique=bool(metadata.get("unique")),
        restrictedPicklist=bool(value_set.get("restricted")),
        permissionable=True,
    )
    return made
