"""Check data against a pydantic model and say what is wrong in the file's own terms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from cssync.config.reader import Document, Place, suggest

Model = TypeVar("Model", bound=BaseModel)

_WORDS: Mapping[str, str] = {
    "string_type": "must be text",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys and values",
    "model_type": "must be a mapping of keys and values",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
}
"""By pydantic's error type. Any other keeps pydantic's own words."""


def validate(
    document: Document,
    model: type[Model],
    data: Any,
    place: Place = (),
    *,
    ignore: Callable[[str], bool] = lambda key: False,
    folder: Path | None = None,
) -> Model | None:
    """Return `data` (which stands at `place`) as the model, or note every fault on the document and return None.

    Faults of top-level keys for which `ignore` is true are passed over; the model then holds their values unchecked.
    A validator that takes relative paths finds `folder` in its context.
    """
    try:
        return model.model_validate(data, context={"folder": folder})
    except ValidationError as error:
        details = [d for d in error.errors(include_url=False) if not (d["loc"] and ignore(str(d["loc"][0])))]
        for detail in details:
            _note(document, model, detail, place)
        return None if details else model.model_construct(**data)


def is_secret(model: type[BaseModel], key: str) -> bool:
    """Tell whether a setting of a connector's model holds a secret."""
    known = model.model_fields.get(key)
    return known is not None and SecretStr in _members(known.annotation)


def dotted(place: Place) -> str:
    """Return the place as an admin would write it, e.g. `connections.crm.token`."""
    return ".".join(map(str, place))


def _note(document: Document, model: type[BaseModel], detail: ErrorDetails, place: Place) -> None:
    parts: Place = tuple(part for part in detail["loc"] if part not in ("[key]", ""))
    where = (*place, *parts)
    prefix = f"{dotted(where[:-1])}: " if where[:-1] else ""
    if detail["type"] == "missing":
        key = str(where[-1])
        hint = f"; write `{key}: env:{key.upper()}` or another reference" if is_secret(model, key) else ""
        document.fault(where[:-1], f"{prefix}key {key!r} is missing{hint}", key=True)
    elif detail["type"] == "extra_forbidden":
        known = _model_at(model, parts[:-1]).model_fields
        document.fault(where, f"{prefix}unknown key {where[-1]!r}{suggest(str(where[-1]), known)}", key=True)
    else:
        at_key = "[key]" in detail["loc"] or not parts or detail["input"] is None
        document.fault(where, f"{dotted(where) or 'the file'} {_words(detail)}", key=at_key)


def _words(detail: ErrorDetails) -> str:
    kind, given = detail["type"], detail["input"]
    if given is None:
        return "is empty"
    if kind == "literal_error":
        expected = str(detail["ctx"]["expected"])
        known = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
        return f"must be {expected}{suggest(given, known) if isinstance(given, str) else ''}"
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return _WORDS.get(kind, message[:1].lower() + message[1:])


def _members(annotation: Any) -> Iterator[Any]:
    """Yield every type that an annotation is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _members(part)


def _model_at(model: type[BaseModel], place: Place) -> type[BaseModel]:
    """Return the model that describes the data at a place inside `model`'s data."""
    for part in place:
        known = model.model_fields.get(str(part))
        if known is not None:
            inner = (m for m in _members(known.annotation) if isinstance(m, type) and issubclass(m, BaseModel))
            model = next(inner, model)
    return model
