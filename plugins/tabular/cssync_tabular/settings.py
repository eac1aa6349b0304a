"""Settings of a tabular connection: one place (a folder, an SQLite file, a database), and the tables in it."""

from __future__ import annotations

import codecs
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from cssync.connectors import ConnectionSettings, Secret
from cssync.model import ENTITY

Format = Literal["csv", "jsonl", "parquet"]
FORMATS: dict[str, Format] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
}
OWN_STATE = ("crm_task", "crm_state")


class Table(BaseModel):
    """One file or query: what a row is, and how it is told from the others."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    file: Annotated[str | None, Field(description="File below `folder`.")] = None
    query: Annotated[str | None, Field(description="One SELECT, in place of `file`; it is run read-only.")] = None
    entity: Annotated[str, Field(description="What a row is: an entity of the mapping targets, such as `contract`.")]
    key: Annotated[
        tuple[str, ...],
        Field(min_length=1, description="Column, or list of columns, that tells a row from the others."),
    ]
    cursor: Annotated[
        str | None,
        Field(description="Column that grows with each change: later pulls read from its newest value on. Without it "
              "everything is read each time, and rows that are no longer there are deleted."),
    ] = None  # fmt: skip
    lag: Annotated[
        int,
        Field(
            ge=0, description="How far before the newest `cursor` a pull begins: seconds for a time, units of a number."
        ),
    ] = 300
    deleted: Annotated[
        str | None, Field(description="Column that marks a deleted row: anything but empty, 0, false and no.")
    ] = None
    fixed: Annotated[
        dict[str, str], Field(description="Columns of the entity that are the same in every row, e.g. `{grain: week}`.")
    ] = {}
    may_be_empty: Annotated[
        bool, Field(description="No row at all is an answer, not a fault; only for a table without `cursor`.")
    ] = False
    format: Annotated[
        Format | None,
        Field(description="Of a file whose name does not end in .csv, .tsv, .jsonl, .ndjson or .parquet."),
    ] = None
    encoding: Annotated[str, Field(description="Of a text file, e.g. `cp932`; a byte order mark goes before it.")] = (
        "utf-8"
    )
    delimiter: Annotated[str | None, Field(description="Of a CSV file; a comma, in .tsv a tab.")] = None

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("entity")
    @classmethod
    def _known_entity(cls, value: str) -> str:
        found = "account_source" if value == "account" else value
        if found not in ENTITY or found in OWN_STATE:
            raise ValueError(f"must be one of {', '.join(sorted(e for e in ENTITY if e not in OWN_STATE))}")
        return found

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            return codecs.lookup(value).name
        except LookupError:
            raise ValueError("is no encoding that Python knows; write e.g. utf-8, cp932, cp1252, utf-16") from None

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        value = "\t" if value in ("\\t", "tab") else value
        if value is not None and (len(value) != 1 or value in '"\r\n'):
            raise ValueError("must be one character, or `tab`")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Table:
        if (self.file is None) == (self.query is None):
            raise ValueError("needs a `file` or a `query`, one of them")
        if self.file is not None and self.format is None and Path(self.file).suffix.lower() not in FORMATS:
            raise ValueError("needs a `format`: the name of the file does not tell it")
        wrong = [c for c in self.fixed if c not in ENTITY[self.entity].writable]
        if wrong:
            raise ValueError(f"fixed: {self.entity} has no column {wrong[0]!r}")
        return self

    @property
    def kind(self) -> Format:
        """The format of the file."""
        return self.format or FORMATS[Path(self.file or "").suffix.lower()]


class TabularSettings(ConnectionSettings):
    """Files of a folder, or queries to one database."""

    folder: Annotated[
        Path | None, Field(description="Folder of the files, from the folder of cssync.yaml; the latter by default.")
    ] = None
    sqlite: Annotated[
        Path | None, Field(description="SQLite file that is queried, from the folder of cssync.yaml.")
    ] = None
    database: Annotated[
        Secret | None, Field(description="URL of a PostgreSQL database that is queried: `postgresql://user@host/name`.")
    ] = None
    timezone: Annotated[
        str | None, Field(description="Time zone of times that name none, e.g. `UTC`; without it they are quarantined.")
    ] = None
    tables: Annotated[dict[str, Table], Field(min_length=1, description="Stream by stream: a file or a query.")]
    page_size: Annotated[int, Field(ge=1, le=50_000, description="Rows that are stored together.")] = 1_000

    @field_validator("folder", "sqlite")
    @classmethod
    def _from_the_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        """Relative paths begin at the folder of cssync.yaml (in the context), never at the working directory."""
        start = (info.context or {}).get("folder")
        return start / value if start and value is not None else value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        try:
            return value if value is None else ZoneInfo(value).key
        except (OSError, ValueError, KeyError):
            raise ValueError("is no time zone; write e.g. UTC or Asia/Tokyo") from None

    @field_validator("base_url")
    @classmethod
    def _no_address(cls, value: str | None) -> str | None:
        if value is not None:
            raise ValueError("means nothing here: set `folder`, `sqlite` or `database`")
        return value

    @model_validator(mode="after")
    def _one_place(self, info: ValidationInfo) -> TabularSettings:
        given = [n for n in ("folder", "sqlite", "database") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: a connection reads one place; make it two connections")
        for name, table in self.tables.items():
            if table.query is not None and given not in (["sqlite"], ["database"]):
                raise ValueError(f"tables.{name}: a `query` needs `sqlite` or `database`")
            if table.file is not None and given not in ([], ["folder"]):
                raise ValueError(f"tables.{name}: a `file` is read from a `folder`, not from {given[0]}")
        if not given:
            object.__setattr__(self, "folder", (info.context or {}).get("folder") or Path())
        return self

    @property
    def zone(self) -> tzinfo | None:
        """The zone of times that name none."""
        return None if self.timezone is None else UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)
