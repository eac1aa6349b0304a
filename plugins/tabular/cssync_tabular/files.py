"""CSV, JSON Lines and Parquet files, read as streams: memory holds a page of rows, whatever the size of the file."""

from __future__ import annotations

import codecs
import contextlib
import csv
import importlib
import io
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from cssync.connectors import Unreadable
from cssync.errors import ConfigError, ConnectionFault, TransientFault
from cssync_tabular.rows import Item, Source, must_be_distinct, torn
from cssync_tabular.settings import Table
from cssync_tabular.values import plain

LONGEST_LINE = 4 * 1024 * 1024
"""Characters of a line; a longer one is quarantined by its beginning."""
CUT = "\udc00"
"""No byte becomes this character: it marks a line that was cut."""
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@contextlib.contextmanager
def opened(folder: Path, table: Table, wanted: Sequence[str], page_size: int) -> Iterator[Source]:
    """Open a file of the folder; `wanted` columns are enough where the format lets one choose.

    Raises:
        ConnectionFault: not there, not below the folder, not a plain file, empty, or not what it should be.
        TransientFault: after the block, when the file was changed while it was read.
        ConfigError: Parquet, and pyarrow is not installed.
    """
    name = table.file or ""
    with _plain_file(folder, name) as file:
        before = _version(file)
        if table.kind == "parquet":
            yield _parquet(file, name, wanted, page_size)
        else:
            text = _text(file, table)
            try:
                yield Source(None, _json_lines(text)) if table.kind == "jsonl" else _csv(text, name, table)
            finally:
                text.detach()  # else it would close the file with itself
        if _version(file) != before or _replaced(folder / name, before):
            raise TransientFault(
                f"file {name} was changed while it was read",
                kept="rows read so far are stored; nothing was deleted",
                fix="write it under another name and rename it when it is whole; the next run reads it again",
            )


@contextlib.contextmanager
def _plain_file(folder: Path, name: str) -> Iterator[BinaryIO]:
    try:
        root = folder.resolve(strict=True)
        path = (root / name).resolve(strict=True)
        if not path.is_relative_to(root):
            raise ConnectionFault(
                f"file {name} is not below the folder {folder}",
                kept="it was not opened",
                fix="name a file of the folder; links that lead out of it are not followed",
            )
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no file name"
        raise ConnectionFault(
            f"file {name} in {folder} cannot be read: {why}", kept="nothing was read or deleted", fix="put it there"
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise ConnectionFault(f"{name} is not a plain file", kept="it was not read", fix="name a plain file")
        if about.st_size == 0:
            raise ConnectionFault(
                f"file {name} is empty: not even a header",
                kept="nothing was read or deleted",
                fix="look at the export that writes it",
            )
        yield file


def _version(file: BinaryIO) -> tuple[int, ...]:
    about = os.fstat(file.fileno())
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _replaced(path: Path, before: tuple[int, ...]) -> bool:
    """Whether the name now stands for another file of other content; one that was replaced whole is read next time."""
    with contextlib.suppress(OSError):
        about = path.stat()
        same_file = (about.st_dev, about.st_ino) == before[:2]
        return same_file and (about.st_size, about.st_mtime_ns) != before[2:]
    return False


# --- text -------------------------------------------------------------------------------------------------------------


def _text(file: BinaryIO, table: Table) -> io.TextIOWrapper:
    """Decode as the byte order mark says, else as configured. Bytes that do not fit stay visible as surrogates."""
    start = file.peek(3)[:3] if isinstance(file, io.BufferedReader) else b""
    marked = next((encoding for mark, encoding in MARKS if start.startswith(mark)), None)
    return io.TextIOWrapper(file, encoding=marked or table.encoding, errors="surrogateescape", newline="")


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield lines with their ends; one that is too long is yielded cut, with CUT for its end."""
    try:
        while line := text.readline(LONGEST_LINE):
            cut = len(line) == LONGEST_LINE and not line.endswith(("\n", "\r"))
            yield line + CUT if cut else line
            while cut and line and not line.endswith(("\n", "\r")):
                line = text.readline(LONGEST_LINE)
    except UnicodeError as error:
        raise ConnectionFault(
            f"the text is not {text.encoding}: {error.reason if isinstance(error, UnicodeDecodeError) else error}",
            kept="rows read so far are stored; nothing was deleted",
            fix="set `encoding` of the table to what the file is written in",
        ) from None


def _fits(text: str) -> bool:
    """Whether every byte was a character of the encoding, and no line was cut."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _misfit(text: str, encoding: str) -> str:
    if text.endswith(CUT):
        return f"longer than {LONGEST_LINE:,} characters"
    return f"bytes that are not {encoding}: check `encoding` of the table"


# --- CSV --------------------------------------------------------------------------------------------------------------


class _Lines:
    """Lines for csv.reader that can be given back: a stray quote swallows what follows it, and nothing may be lost."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.ahead: list[str] = []
        self.taken: list[str] = []
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.ahead.pop() if self.ahead else next(self.lines)
        self.taken.append(line)
        self.number += 1
        return line

    def give_back(self) -> None:
        """Read again from the second of the lines taken."""
        again = self.taken[1:]
        self.ahead.extend(reversed(again))
        self.number -= len(again)


def _csv(text: io.TextIOWrapper, name: str, table: Table) -> Source:
    lines = _Lines(_lines(text))
    delimiter = table.delimiter or ("\t" if name.lower().endswith(".tsv") else ",")
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        columns = tuple(cell.strip() for cell in next(reader, []))
    except csv.Error as error:
        raise _no_header(name, str(error)) from None
    if not _fits("".join(columns)):
        raise _no_header(name, f"it holds bytes that are not {text.encoding}")
    if not any(columns):
        raise _no_header(name, "it is blank")
    must_be_distinct(f"file {name}", columns)
    return Source(columns, _csv_rows(reader, lines, columns, text.encoding))


def _no_header(name: str, why: str) -> ConnectionFault:
    return ConnectionFault(
        f"file {name}: the first line is no header: {why}",
        kept="nothing was read or deleted",
        fix="the first line names the columns; check `encoding` and `delimiter` of the table",
    )


def _csv_rows(reader: Iterator[list[str]], lines: _Lines, columns: tuple[str, ...], encoding: str) -> Iterator[Item]:
    width = len(columns)
    while True:
        lines.taken.clear()
        start = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            why = str(error)
        else:
            if len(cells) == width and _fits("".join(cells)):
                yield dict(zip(columns, cells, strict=True))
                continue
            if not cells:
                continue
            why = f"{len(cells)} cells, the header has {width}"
            if len(cells) == width:
                why = _misfit("".join(cells), encoding)
        if not lines.taken:
            return
        yield torn(f"line {start}", why, lines.taken[0])
        lines.give_back()


# --- JSON Lines -------------------------------------------------------------------------------------------------------

_decoder = msgspec.json.Decoder(float_hook=Decimal)


def _json_lines(text: io.TextIOWrapper) -> Iterator[Item]:
    for number, line in enumerate(_lines(text), 1):
        if not line.strip():
            continue
        place = f"line {number}"
        if not _fits(line):
            yield torn(place, _misfit(line, text.encoding), line)
            continue
        try:
            found = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError) as error:
            yield torn(place, f"is no JSON: {error}", line)
            continue
        yield (
            {key: plain(value) for key, value in found.items()}
            if isinstance(found, dict)
            else torn(place, "is no JSON object", line)
        )


# --- Parquet ----------------------------------------------------------------------------------------------------------


def _parquet(file: BinaryIO, name: str, wanted: Sequence[str], page_size: int) -> Source:
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ConfigError(
            f"file {name}: Parquet needs the package pyarrow", fix="install cssync[parquet], or export CSV"
        ) from None
    try:
        opened = parquet.ParquetFile(file, pre_buffer=False)
    except (arrow.ArrowException, OSError) as error:
        raise _not_parquet(name, error) from None
    columns = tuple(opened.schema_arrow.names)
    must_be_distinct(f"file {name}", columns)
    chosen = [c for c in columns if c in {w for full in wanted for w in (full, full.split(".")[0])}] or list(columns)

    def items() -> Iterator[Item]:
        try:
            for batch in opened.iter_batches(batch_size=page_size, columns=chosen, use_threads=False):
                parts = [_micros(arrow, batch.column(i)).to_pylist() for i in range(batch.num_columns)]
                for cells in zip(*parts, strict=True):
                    yield {c: plain(v) for c, v in zip(batch.schema.names, cells, strict=True)}
        except (arrow.ArrowException, OSError) as error:
            raise _not_parquet(name, error) from None

    return Source(columns, items())


def _micros(arrow: Any, column: Any) -> Any:
    """Python's times have microseconds: cut nanoseconds off, which no rule looks at."""
    kind = column.type
    if arrow.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(arrow.timestamp("us", kind.tz), safe=False)
    return column


def _not_parquet(name: str, error: Exception) -> ConnectionFault:
    return ConnectionFault(
        f"file {name} cannot be read as Parquet: {str(error).splitlines()[0][:200]}",
        kept="rows read so far are stored; nothing was deleted",
        fix="look at the export that writes it",
    )


def sampled(source: Source, count: int) -> tuple[list[dict[str, Any]], list[Unreadable]]:
    """Return up to `count` items of a source, rows and torn ones."""
    rows: list[dict[str, Any]] = []
    bad: list[Unreadable] = []
    for _, item in zip(range(count), source.items, strict=False):
        if isinstance(item, Unreadable):
            bad.append(item)
        else:
            rows.append(dict(item))
    return rows, bad


def named_columns(source: Source, rows: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Return the columns of a header, or those that the sampled rows name."""
    return source.columns if source.columns is not None else tuple(dict.fromkeys(c for row in rows for c in row))
