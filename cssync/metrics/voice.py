"""What customers answered: CSAT and NPS (domain.md section 3)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. score: None when the question was offered and not answered. scale_max: highest possible, None or 1
    for good or bad. contact: who, None when not known: then the answer stands for itself. at: ISO instant."""

    account: str
    score: float | None
    at: str
    scale_max: int | None = None
    contact: Hashable = None


@dataclass(frozen=True, slots=True)
class Csat:
    """satisfied / rated; value None under the least number of answers. unanswered is outside."""

    value: Decimal | None
    satisfied: int
    rated: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class Nps:
    """100 x (promoters - detractors) / answers, -100..100; value None under the least number of answers."""

    value: Decimal | None
    promoters: int
    detractors: int
    answers: int


def satisfied(answer: Answer) -> bool:
    """Whether an answer is good: 1 of good or bad, else one of the two highest of its scale (4 or 5 of 5)."""
    if answer.score is None:
        return False
    if answer.scale_max is None or answer.scale_max <= 1:
        return answer.score >= 1
    return answer.score >= answer.scale_max - 1


def csat(answers: Iterable[Answer], at_least: int = 3) -> Csat:
    """Return the CSAT of some answers."""
    good = rated = unanswered = 0
    for answer in answers:
        if answer.score is None:
            unanswered += 1
        else:
            rated += 1
            good += satisfied(answer)
    return Csat(Decimal(good) / rated if rated and rated >= at_least else None, good, rated, unanswered)


def latest(answers: Iterable[Answer]) -> list[Answer]:
    """Return the last answer of each contact and every one without a known contact; unanswered ones are left out."""
    last: dict[Hashable, Answer] = {}
    alone: list[Answer] = []
    for answer in answers:
        if answer.score is None:
            continue
        if answer.contact is None:
            alone.append(answer)
        elif answer.contact not in last or answer.at >= last[answer.contact].at:
            last[answer.contact] = answer
    return [*last.values(), *alone]


def nps(answers: Iterable[Answer], at_least: int = 3) -> Nps:
    """Return the NPS of answers on 0 to 10, the last of each contact."""
    scores = [answer.score for answer in latest(answers) if answer.score is not None]
    promoters, detractors = sum(s >= 9 for s in scores), sum(s <= 6 for s in scores)
    enough = len(scores) >= max(at_least, 1)
    value = Decimal(100 * (promoters - detractors)) / len(scores) if enough else None
    return Nps(value, promoters, detractors, len(scores))
