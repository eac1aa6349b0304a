"""What features, measures and caps rest on, whether it is connected and fresh, and what is kept while it is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from cssync.rules.catalogue import FACTS, SOURCES
from cssync.rules.freshness import Context, aged
from cssync.rules.tree import Aggregate, Cap, Feature, Measure, closure, measure_names
from cssync.rules.volume import ENTITY as USAGE


def entities_of(names: Iterable[str], features: Mapping[str, Feature]) -> set[str]:
    """Entities that the named features and facts rest on."""
    found: set[str] = set()
    for name in closure(names, features):
        if name in FACTS:
            found.update(FACTS[name].entities)
        elif name in features:
            definition = features[name].definition
            if isinstance(definition, Aggregate):
                found |= entities_behind(definition)
    return found


def entities_behind(aggregate: Aggregate) -> set[str]:
    """Entities an aggregate rests on: that of its source, and those it borrows columns from."""
    table = SOURCES[aggregate.source]
    timed = aggregate.within is not None or aggregate.older_hours is not None
    used = aggregate.columns | ({table.at} if timed or aggregate.function == "last" or aggregate.newest_per else set())
    own = entity_of(aggregate)
    return {
        *(("contract",) if aggregate.per_event else ()),
        own if aggregate.max_age is None else aged(own, aggregate.max_age),
        *(of.entity for name, of in table.borrows.items() if name in used),
    }


def all_ok(aggregate: Aggregate, context: Context) -> bool:
    """Whether everything an aggregate rests on is connected and fresh."""
    return all(context.ok(entity) for entity in entities_behind(aggregate))


def entity_of(aggregate: Aggregate) -> str:
    """Entity an aggregate rests on; of usage, the one metric that its `where` asks for."""
    entity = SOURCES[aggregate.source].entity
    parts = [aggregate.where] if aggregate.where is not None and entity == USAGE else []
    while parts:
        e = parts.pop()
        if e.op == "and":
            parts.extend(e.args)
        elif e.op == "=" and e.args[0].value == "metric" and e.args[1].op == "text":
            return f"{entity}.{e.args[1].value}"
    return entity


def all_known(names: Iterable[str], features: Mapping[str, Feature], context: Context) -> bool:
    """Whether all that these features and facts rest on is connected and fresh, so that absence means something."""
    for name in closure(names, features):
        if name in FACTS:
            if not is_known(name, context):
                return False
            continue
        definition = features[name].definition if name in features else None
        if isinstance(definition, Aggregate) and not all_ok(definition, context):
            return False
    return True


def is_known(fact: str, context: Context) -> bool:
    """Whether everything a fact rests on is connected and fresh."""
    of = FACTS[fact]
    return all(context.ok(e) or (e in of.spare and e not in context.fresh) for e in of.entities)


def measure_entities(measure: Measure, features: Mapping[str, Feature]) -> set[str]:
    """Entities a measure rests on."""
    return entities_of(measure_names(measure), features)


def is_held(measure: Measure, features: Mapping[str, Feature], context: Context) -> bool:
    """Whether a measure without a value keeps its last one today: a source of it is stale, none longer than allowed."""
    found = [context.stale_for(e) for e in measure_entities(measure, features)]
    late = [age for age in found if age is not None]
    return measure.missing == "hold" and bool(late) and max(late) <= timedelta(days=measure.hold)


def is_cap_held(cap: Cap, features: Mapping[str, Feature], context: Context) -> bool:
    """Whether a cap nobody can judge today stays as it was: a source of it is stale, and results that rest on it are
    held. A source that falls silent must not lift a score."""
    return any(context.held(e) for e in entities_of(cap.when.names("feature"), features))
