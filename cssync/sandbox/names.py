"""Invented companies and people: the words they are made of, and how three systems come to spell one company.

Nobody here exists. Domains end in `.example`, which can never be registered.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

SYSTEMS = ("hubspot", "salesforce", "zendesk")

# (kanji, romanised): invented trade names of common words
_JA_ROOTS = (
    ("青葉", "Aoba"), ("朝凪", "Asanagi"), ("白波", "Shiranami"), ("月見野", "Tsukimino"), ("若竹", "Wakatake"),
    ("深山", "Miyama"), ("雪輪", "Yukiwa"), ("千草", "Chigusa"), ("花筏", "Hanaikada"), ("星見", "Hoshimi"),
    ("水無瀬", "Minase"), ("山吹", "Yamabuki"), ("桔梗", "Kikyo"), ("藍原", "Aihara"), ("瑠璃", "Ruri"),
    ("紅谷", "Beniya"), ("潮見台", "Shiomidai"), ("稲穂", "Inaho"), ("霞橋", "Kasumibashi"), ("木洩", "Komore"),
    ("東雲", "Shinonome"), ("茜", "Akane"), ("八重垣", "Yaegaki"), ("つばめ", "Tsubame"), ("みなも", "Minamo"),
)  # fmt: skip
_JA_TRADES = (
    ("システムズ", "Systems", "software"), ("製作所", "Works", "manufacturing"), ("物流", "Logistics", "logistics"),
    ("食品", "Foods", "food"), ("商会", "Trading", "retail"), ("電子", "Electronics", "manufacturing"),
    ("精機", "Precision", "manufacturing"), ("出版", "Publishing", "media"), ("旅行社", "Travel", "travel"),
    ("建材", "Building", "construction"), ("印刷", "Printing", "media"), ("データ", "Data", "software"),
)  # fmt: skip
_EN_ROOTS = (
    "Alderquill", "Brindlewick", "Cobaltmere", "Dunfallow", "Emberholt", "Fenwhistle", "Glasswater", "Harrowpine",
    "Inkberry", "Juniper Fold", "Kestrelmoor", "Larkspindle", "Marrowgate", "Nettlebay", "Oxbowl", "Pebblecrest",
    "Quarterlight", "Rookhaven", "Saltmarrow", "Thistledown Row", "Umberfield", "Vellumtree", "Wexlow", "Yarrowby",
)  # fmt: skip
_EN_TRADES = (
    ("Analytics", "software"), ("Freight", "logistics"), ("Robotics", "manufacturing"), ("Outfitters", "retail"),
    ("Press", "media"), ("Provisions", "food"), ("Instruments", "manufacturing"), ("Journeys", "travel"),
    ("Masonry", "construction"), ("Cloud", "software"),
)  # fmt: skip
_EN_FORMS = (("Ltd", "Ltd.", "Limited"), ("Inc.", "Inc", "Incorporated"), ("LLC", "L.L.C.", "LLC"))
_DE_FORMS = (("GmbH", "GmbH", "gmbh"),)
_JA_FAMILY = (
    ("佐々木", "sasaki"), ("高橋", "takahashi"), ("森", "mori"), ("小川", "ogawa"), ("藤田", "fujita"),
    ("石井", "ishii"), ("長谷川", "hasegawa"), ("岡本", "okamoto"), ("松井", "matsui"), ("西村", "nishimura"),
)  # fmt: skip
_JA_GIVEN = (
    ("葵", "aoi"), ("蓮", "ren"), ("結衣", "yui"), ("大輔", "daisuke"), ("美咲", "misaki"), ("健", "ken"),
    ("陽子", "yoko"), ("翔太", "shota"), ("真理", "mari"), ("直樹", "naoki"),
)  # fmt: skip
_EN_FAMILY = ("Okafor", "Lindqvist", "Marsh", "Haddad", "Pryce", "Novak", "Castellan", "Bauer", "Iyer", "Quinn")
_EN_GIVEN = ("Maya", "Tobias", "Ines", "Callum", "Priya", "Jonas", "Leila", "Edwin", "Saoirse", "Marek")


@dataclass(frozen=True, slots=True)
class Naming:
    """How one company is written: `names` per system, `slug` its domain without `.example`."""

    names: dict[str, str]
    slug: str
    country: str
    locale: str
    industry: str


def naming(number: int, *, matching: bool, random: Random) -> Naming:
    """Return the naming of the company with that number; three in five are Japanese.

    matching: the spellings must differ only by company form, case, width and blanks, so that a comparison of names
    can find them; otherwise one system may hold the romanised or shortened name.
    """
    if number % 5 < 3:
        return _japanese(number // 5 * 3 + number % 5, matching, random)
    return _western(number // 5 * 2 + number % 5 - 3, matching, random)


def _japanese(number: int, matching: bool, random: Random) -> Naming:
    turn, root = divmod(number, len(_JA_ROOTS))
    kanji, roman = _JA_ROOTS[root]
    trade, trade_roman, industry = _JA_TRADES[(turn * 5 + root) % len(_JA_TRADES)]
    core = kanji + trade + (f"第{turn // len(_JA_TRADES) + 1}" if turn >= len(_JA_TRADES) else "")
    forms = (f"株式会社{core}", f"(株){core}", f"{core}株式会社", f"㈱{core}", f"株式会社 {core}")
    english = f"{roman} {trade_roman} Inc."
    spelt = dict(zip(SYSTEMS, random.sample(forms, 3), strict=True))
    if not matching and random.random() < 0.45:
        spelt["salesforce"] = english
    slug = f"{roman}-{trade_roman}".lower() + (f"-{turn}" if turn >= len(_JA_TRADES) else "")
    return Naming(spelt, slug, "Japan", "ja-JP", industry)


def _western(number: int, matching: bool, random: Random) -> Naming:
    turn, root = divmod(number, len(_EN_ROOTS))
    name = _EN_ROOTS[root]
    trade, industry = _EN_TRADES[(turn * 3 + root) % len(_EN_TRADES)]
    german = number % 6 == 4
    forms = random.choice(_DE_FORMS if german else _EN_FORMS)
    core = f"{name} {trade}" + (f" {turn // len(_EN_TRADES) + 1}" if turn >= len(_EN_TRADES) else "")
    spellings = [f"{core} {forms[0]}", f"{core.upper()} {forms[1]}", f"{core},  {forms[2]}"]
    if not matching:
        spellings[2] = random.choice((f"{core} {forms[2]}", name, f"{core.lower()} {forms[1]}"))
    random.shuffle(spellings)
    country = "Germany" if german else ("United States", "United Kingdom", "Ireland")[number % 3]
    slug = f"{name}-{trade}".lower().replace(" ", "-") + (f"-{turn}" if turn >= len(_EN_TRADES) else "")
    locale = "de-DE" if german else "en-US" if country == "United States" else "en-GB"
    return Naming(dict(zip(SYSTEMS, spellings, strict=True)), slug, country, locale, industry)


def person(locale: str, domain: str, number: int, random: Random) -> tuple[str, str]:
    """Return (full name, address at `domain`) of an invented person; `number` keeps addresses apart."""
    if locale == "ja-JP":
        (family, family_roman), (given, given_roman) = random.choice(_JA_FAMILY), random.choice(_JA_GIVEN)
        return f"{family} {given}", f"{given_roman}.{family_roman}{number or ''}@{domain}"
    family, given = random.choice(_EN_FAMILY), random.choice(_EN_GIVEN)
    return f"{given} {family}", f"{given}.{family}{number or ''}@{domain}".lower()
