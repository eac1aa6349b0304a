"""Which column a vendor's field seems to belong to, by its name, label and type: a proposal for a person to judge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cssync.connectors.contract import RemoteField

DAYS = ("date", "instant")
NUMBERS = ("integer", "real", "money")
WORDS = ("text",)


@dataclass(frozen=True, slots=True)
class Sign:
    """What speaks for a column: a pattern over name and label, and the types that its values may have."""

    pattern: str
    types: tuple[str, ...]
    target: str


ON_ACCOUNTS = (
    Sign(r"auto.?renew|自動更新", ("bool",), "contract.auto_renew"),
    Sign(r"notice.?(period|days)|解約予告", NUMBERS, "contract.notice_days"),
    Sign(r"notice.?(received|given|date)|解約通知", DAYS, "contract.notice_received_on"),
    Sign(r"(contract|subscription|term).?start|start.?of.?contract|契約開始", DAYS, "contract.start_date"),
    Sign(r"renewal|(contract|subscription|term).?end|end.?of.?contract|expir|契約終了|契約満了|更新日", DAYS,
         "contract.end_date"),
    Sign(r"(term|contract).?(length|months)|契約期間", NUMBERS, "contract.term_months"),
    Sign(r"\barr\b|annual.?recurring|年間契約額|年額", NUMBERS, "contract_line.amount"),
    Sign(r"unit.?price|price.?per.?(seat|user)|単価", NUMBERS, "contract_line.unit_price"),
    Sign(r"\bseats?\b|licen[cs]es?|席数|ライセンス数|契約id数", NUMBERS, "contract_line.quantity"),
    Sign(r"\bplan\b|\bpackage\b|\bsku\b|product.?code|プラン", WORDS, "contract_line.product_code"),
    Sign(r"active.?users|\b[dwm]au\b|利用者数|アクティブ", NUMBERS, "usage_metric.active_users"),
    Sign(r"log.?ins?\b|ログイン", NUMBERS, "usage_metric.logins"),
    Sign(r"\bcsm\b|customer.?success.?manager|カスタマーサクセス", WORDS, "account.csm_source_id"),
    Sign(r"segment|セグメント", WORDS, "account.segment"),
    Sign(r"(salesforce|sfdc|crm|hubspot|external).?id\b|customer.?(number|no\b|id\b)|顧客番号", WORDS,
         "account.external_id"),
)  # fmt: skip
ON_OTHERS: Mapping[str, tuple[Sign, ...]] = {
    "contact": (Sign(r"\brole\b|persona|役割", WORDS, "contact.role"),),
    "opportunity": (
        Sign(r"loss.?reason|lost.?reason|失注理由", WORDS, "opportunity.loss_reason"),
        Sign(r"(deal|opportunity).?type|商談種別", WORDS, "opportunity.type"),
    ),
    "ticket": (
        Sign(r"categor|分類|カテゴリ", WORDS, "ticket.category"),
        Sign(r"product|製品", WORDS, "ticket.product_code"),
        Sign(r"escalat|エスカレ", ("bool",), "ticket.escalated"),
    ),
    "contract": (
        Sign(r"auto.?renew|自動更新", ("bool",), "contract.auto_renew"),
        Sign(r"notice.?(period|days)|解約予告", NUMBERS, "contract.notice_days"),
        Sign(r"\bseats?\b|licen[cs]es?|席数|ライセンス数", NUMBERS, "contract_line.quantity"),
        Sign(r"unit.?price|price.?per.?(seat|user)|単価", NUMBERS, "contract_line.unit_price"),
        Sign(r"\barr\b|annual.?recurring|年額", NUMBERS, "contract_line.amount"),
        Sign(r"\bplan\b|product.?code|プラン", WORDS, "contract_line.product_code"),
    ),
}
"""Signs by the entity of the stream; companies, accounts and organizations have those of ON_ACCOUNTS."""
OURS = re.compile(r"(?i)^cs_|cssync")


def proposals(fields: Iterable[RemoteField], entity: str, taken: Iterable[str]) -> dict[str, str]:
    """Return field -> `entity.column` for the custom fields of a stream that nothing is mapped from yet.

    `taken` are the targets that are fed already (`account` may be written `account_source`). Each target is proposed
    for one field, the first by name.
    """
    free = {s.target: s for s in (ON_ACCOUNTS if entity == "account_source" else ON_OTHERS.get(entity, ()))}
    for target in taken:
        free.pop(re.sub("^account_source\\.", "account.", target), None)
    found: dict[str, str] = {}
    for field in sorted(fields, key=lambda f: f.name):
        if not field.custom or OURS.search(field.name):
            continue
        sign = next((s for s in free.values() if _speaks(s, field)), None)
        if sign:
            found[field.name] = sign.target
            del free[sign.target]
    return found


def _speaks(sign: Sign, field: RemoteField) -> bool:
    name = field.name.removesuffix("__c").replace("_", " ").replace(".", " ")
    return field.type in sign.types and re.search(sign.pattern, f"{name} {field.label}".lower()) is not None
