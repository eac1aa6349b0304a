"""Sentences for people, in the account's language: facts only, no personal data, no clock."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from cssync.model import decimals
from cssync.rules.cutting import cut
from cssync.rules.outcome import Outcome
from cssync.rules.tree import Cap, Edge, Place, Score, Template, Texts
from cssync.rules.trends import Direction

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "unknown": "unknown", "yes": "yes", "no": "no", "green": "green", "yellow": "yellow", "red": "red",
        "score": "{score} ({band}).", "no_score": "No score: only {coverage} % of the measures are known.",
        "capped": "Held at {score} (uncapped {raw}): {why}.", "lost": "-{points} {text}.",
        "override": "Band set to {band} by hand until {day} (computed {computed}).",
        "override_why": "Band set to {band} by hand until {day}: {why} (computed {computed}).",
        "improving": "improving", "stable": "stable", "declining": "declining",
        "was_lower": "Improving, {before} {days} days ago.", "was_higher": "Declining, {before} {days} days ago.",
        "rollup_arr_weighted": "Over {count} accounts, weighed by ARR; the worst is {name} ({band}).",
        "rollup_simple_mean": "Mean over {count} accounts; the worst is {name} ({band}).",
        "rollup_worst": "The lowest of {count} accounts; the worst is {name} ({band}).",
        "held": "Last known values, source is stale: {names}.",
        "held_cap": "a limit in force when its source was last read",
        "unsure": "Of low quality, many tickets name no customer: {names}.",
        "stopped": "Old values, a field was changed or removed in its source: {names}.",
        "left_out": "Left out for lack of data: {names}.", "stale": "Left out, source is stale: {names}.",
        "coverage": "Coverage {coverage} %.", "data": "Data to {day}.", "join": ", ", "space": " ",
        "signed": "Written by cssync.", "moved": "Due moved from {before} to {after}.",
        "copied": "Copied to the owner's manager: {name}.",
        "rule_removed": "the rule was removed", "account_left": "the account is no longer looked at",
        "renewed": "the term was renewed or replaced", "over": "the term ended, and no renewal came within 30 days",
        "joined": "its contracts renew together with others now",
        "met": "the condition is met", "gone": "the reason is gone",
        "by_people": "closed in the CRM",
    },
    "ja": {
        "unknown": "不明", "yes": "あり", "no": "なし", "green": "緑", "yellow": "黄", "red": "赤",
        "score": "{score}点({band})。", "no_score": "スコアなし: 判明している指標は{coverage}%のみ。",
        "capped": "{score}点に制限(制限前 {raw}点): {why}。", "lost": "-{points} {text}。",
        "override": "{day}まで手動で「{band}」に設定(算出値は{computed})。",
        "override_why": "{day}まで手動で「{band}」に設定: {why}(算出値は{computed})。",
        "improving": "改善", "stable": "横ばい", "declining": "悪化",
        "was_lower": "改善傾向、{days}日前は{before}点。", "was_higher": "悪化傾向、{days}日前は{before}点。",
        "rollup_arr_weighted": "{count}社のARR加重平均。最も悪いのは{name}({band})。",
        "rollup_simple_mean": "{count}社の平均。最も悪いのは{name}({band})。",
        "rollup_worst": "{count}社の最低点。最も悪いのは{name}({band})。",
        "held": "データが古いため前回の値を使用: {names}。",
        "held_cap": "データが最後に揃った時点の上限を適用中",
        "unsure": "顧客が特定できない問い合わせが多いため参考値: {names}。",
        "stopped": "連携元の項目が変更または削除されたため古い値を使用: {names}。",
        "left_out": "データ不足のため対象外: {names}。", "stale": "データが古いため対象外: {names}。",
        "coverage": "充足率{coverage}%。", "data": "データ時点 {day}。", "join": "、", "space": "",
        "signed": "cssyncが作成。", "moved": "期限を {before} から {after} に変更。",
        "copied": "担当者の上長にも共有: {name}。",
        "rule_removed": "ルールが削除された", "account_left": "対象の顧客ではなくなった",
        "renewed": "契約が更新または置き換えられた", "over": "契約終了後30日以内に更新されなかった",
        "joined": "他の契約とまとめて更新されることになった",
        "met": "完了条件が満たされた", "gone": "理由がなくなった",
        "by_people": "CRMで完了済み",
    },
}  # fmt: skip
QUOTED = 300
"""UTF-16 code units of a text of people or vendors inside a sentence of ours."""
REASONS = 3
"""Lost points named in a text."""


_TURNING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def language(locale: str | None, default: str = "en") -> str:
    """Return the language of our texts for a locale such as ja-JP."""
    for tag in (locale, default):
        code = (tag or "").replace("_", "-").split("-")[0].lower()
        if code in WORDS:
            return code
    return "en"


def shown(value: Any, words: Mapping[str, str], form: str = "", currency: str = "", kind: str = "") -> str:
    """Return a value as people read it: money with its currency, ratios as percent where asked, no float noise."""
    if value is None:
        return words["unknown"]
    if isinstance(value, bool):
        return words["yes" if value else "no"]
    if kind == "money":
        places = decimals(currency)
        return f"{Fraction(round(value), 10**places).__float__():,.{places}f} {currency}"
    if form == "percent":
        return f"{_half_up(value * 100, 0)} %"
    if isinstance(value, float):
        return _half_up(value, 1).removesuffix(".0")
    return value.isoformat() if isinstance(value, date) else harmless(str(value))


def harmless(text: str) -> str:
    """Return a vendor's text for use inside a sentence: on one line, without control characters and without those that
    turn the direction of what follows; joiners of scripts and emoji stay."""
    if text.isascii() and text.isprintable():
        return text
    kept = (c for c in text if c not in _TURNING and (c.isspace() or unicodedata.category(c) not in ("Cc", "Cs", "Cn")))
    return " ".join("".join(kept).split())


def _half_up(value: float, places: int) -> str:
    """The number with so many decimals, halves away from 0: those of the simplest fraction that is meant, which lies
    less than 1e-9 off. Only near a half it has to be found."""
    near = abs(value) * 10**places
    if near < 1e6 and abs(near % 1 - 0.5) > 1e-6:
        whole = int(near + 0.5)
    else:
        scaled = abs(Fraction(value).limit_denominator(10**9)) * 10**places
        whole = (scaled.numerator * 2 + scaled.denominator) // (scaled.denominator * 2)
    sign = "-" if value < 0 and whole else ""
    return f"{sign}{whole // 10**places}" + (f".{whole % 10**places:0{places}}" if places else "")


def render(texts: Texts, lang: str, lookup: Callable[[Place], tuple[Any, str]]) -> str:
    """Fill a text of a pack. lookup gives value and currency of a place. What people or vendors wrote is cut."""
    template = texts.get(lang) or texts.get("en") or Template(())
    words = WORDS[lang if lang in texts else "en"]
    found = []
    begins, complete = 0, True
    for part in template.parts:
        if isinstance(part, Place):
            value, currency = lookup(part)
            word = words.get(value) if part.kind == "result" and isinstance(value, str) else None
            text = word or shown(value, words, part.format, currency, part.type)
            complete = complete and value is not None and text != ""
            found.append(cut(text, QUOTED) if part.kind != "result" else text)
        elif part is Edge.OPEN:
            begins, complete = len(found), True
        elif part is Edge.CLOSE:
            del found[len(found) if complete else begins :]
        else:
            found.append(str(part))
    return "".join(found)


@dataclass(frozen=True, slots=True)
class Lost:
    """Points a measure takes off the score: weight / known weight x (100 - its value)."""

    measure: str
    points: Fraction


def lost_points(
    weights: Mapping[str, int], measures: Mapping[str, int | None], most: int | None = None
) -> tuple[Lost, ...]:
    """Return what each known measure costs, largest first; exactly 100 - the unrounded score in sum.

    weights: measure -> its weight under the account's model; one without weight costs nothing. most: so many alone.
    """
    known = [(w * (100 - v), name, w) for name, w in weights.items() if w and (v := measures.get(name)) is not None]
    covered = sum(weight for _, _, weight in known)
    known.sort(key=lambda k: -k[0])
    return tuple(Lost(name, Fraction(cost, covered)) for cost, name, _ in known[:most])


def tenths(points: Fraction) -> str:
    """Return points with one decimal, halves up."""
    whole = (points.numerator * 20 + points.denominator) // (2 * points.denominator)
    return f"{whole // 10}.{whole % 10}"


def reasons(
    score: Score,
    outcome: Outcome,
    lang: str,
    lookup: Callable[[Place], tuple[Any, str]],
    stale: Iterable[str] = (),
    heading: Direction | None = None,
    unsure: Iterable[str] = (),
    stopped: Iterable[str] = (),
) -> str:
    """Return the sentence behind a score: override, score, trend, caps, the largest lost points, what was left out,
    coverage.

    It holds no date that moves with the days, so that it changes only when a reason or its rounded number changes.
    """
    words = WORDS[lang]
    labels = {m.name: m.label for m in score.measures}
    override = override_text(score, outcome, lang, lookup)
    parts = [override] if override else []
    computed = outcome.computed_band or ""
    if outcome.score is None:
        parts.append(words["no_score"].format(coverage=outcome.coverage or 0))
    else:
        parts.append(words["score"].format(score=outcome.score, band=words.get(computed, computed)))
    if heading and heading.before is not None and heading.trend in ("improving", "declining") and score.trend:
        word = "was_lower" if heading.trend == "improving" else "was_higher"
        before = (2 * heading.before.numerator + heading.before.denominator) // (2 * heading.before.denominator)
        parts.append(words[word].format(before=before, days=score.trend.before))
    if outcome.raw_score is not None and outcome.score != outcome.raw_score:
        true = [n for n, c in enumerate(score.caps) if outcome.caps[n] and c.at_most == outcome.score]
        why = words["join"].join(cap_text(score.caps[n], n, outcome, lang, lookup) for n in true)
        parts.append(words["capped"].format(score=outcome.score, raw=outcome.raw_score, why=why))
    texts = {m.name: m.because for m in score.measures}
    for lost in lost_points(outcome.weights, outcome.measures, REASONS) if outcome.score is not None else ():
        if tenths(lost.points) != "0.0":
            text = render(texts[lost.measure], lang, lookup) or render(labels[lost.measure], lang, lookup)
            parts.append(words["lost"].format(points=tenths(lost.points), text=text))
    old = set(stale)
    weighed = [m.name for m in score.measures if outcome.weights.get(m.name)]
    absent = [n for n in weighed if outcome.measures.get(n) is None and outcome.applies.get(n)]
    for word, names in (
        ("held", [n for n in weighed if n in outcome.held]),
        ("left_out", [n for n in absent if n not in old]),
        ("stale", [n for n in absent if n in old]),
        ("unsure", [n for n in weighed if n in set(unsure) and outcome.measures.get(n) is not None]),
        ("stopped", [n for n in weighed if n in set(stopped) and outcome.measures.get(n) is not None]),
    ):
        if names:
            named = words["join"].join(render(labels[n], lang, lookup) for n in names)
            parts.append(words[word].format(names=named))
    if outcome.score is not None:
        parts.append(words["coverage"].format(coverage=outcome.coverage))
    return words["space"].join(parts)


def cap_text(cap: Cap, number: int, outcome: Outcome, lang: str, lookup: Callable[[Place], tuple[Any, str]]) -> str:
    """Return why a cap holds: its own sentence, or that it stays because nobody can tell."""
    return WORDS[lang]["held_cap"] if number in outcome.held_caps else render(cap.because, lang, lookup)


def override_text(score: Score, outcome: Outcome, lang: str, lookup: Callable[[Place], tuple[Any, str]]) -> str:
    """Return the sentence on the band that a person set, while it holds; else nothing."""
    if score.override is None or outcome.override_end is None:
        return ""
    words = WORDS[lang]
    why = lookup(Place(score.override.reason, "text", kind="account"))[0]
    band, computed = (words.get(b or "", b) for b in (outcome.band, outcome.computed_band))
    return words["override_why" if why else "override"].format(
        band=band, day=outcome.override_end.isoformat(), why=str(why or "").rstrip("."), computed=computed
    )


def signed(text: str, day: date | None, lang: str) -> str:
    """Return a reasons text with its end: that cssync wrote it and, where it is known, the date of its data."""
    words = WORDS[lang]
    data = words["space"] + words["data"].format(day=day.isoformat()) if day else ""
    return text + words["space"] + words["signed"] + data


def end_of(text: str) -> str:
    """Return the end that `signed` gave to a text, with the space before it; empty where it has none. Whatever is cut
    off a text, this stays."""
    found = _END.search(text)
    return found.group() if found else ""


def unsigned(text: str) -> str:
    """Return a reasons text for screens of our own: with the date of its data, without the words on who wrote it."""
    return _SIGNED.sub("", text)


def undated(text: str) -> str:
    """Return a reasons text without the date of its data."""
    return _DATED.sub("", text)


def same_but_date(text: str, before: str) -> bool:
    """Whether an earlier text is `text`, signed, whatever the date of its data."""
    return any(undated(before) == text + w["space"] + w["signed"] for w in WORDS.values())


def _ways(name: str) -> str:
    """These words of ours in any language, behind their space, as a pattern; a day is any day."""
    said = (re.escape(w["space"] + w[name]) for w in WORDS.values())
    return "(?:" + "|".join(text.replace(r"\{day\}", r"\d{4}-\d\d-\d\d") for text in said) + ")"


_DATED = re.compile(rf"{_ways('data')}\Z")
_SIGNED = re.compile(rf"{_ways('signed')}(?={_ways('data')}?\Z)")
_END = re.compile(rf"{_ways('signed')}{_ways('data')}?\Z")
