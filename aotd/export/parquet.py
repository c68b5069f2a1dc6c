"""The export that Hugging Face `datasets` opens: one parquet file per split, and a card that says what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from aotd.errors import UserError
from aotd.store.files import write_atomically
from aotd.store.ledger import Ledger
from aotd.store.run import Run
from aotd.verbs import FLOW
from aotd.view.provenance import headline, meanings, provenance

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    name: str
    kind: str
    """`string`, `float`, or `strings`."""
    meaning: str


COLUMNS = (
    Column("question_id", "string", "id of the question, unique within the run"),
    Column("dataset", "string", "the benchmark that the question comes from"),
    Column("split", "string", "split of the question there"),
    Column("video", "string", "video file, relative to that benchmark's folder of videos; videos are not included"),
    Column("start_s", "float", "start of the part of the video that the question is about; empty: its beginning"),
    Column("end_s", "float", "end of that part, exclusive; empty: the end of the video"),
    Column("question", "string", "the question as asked"),
    Column("options", "strings", "the options of a multiple-choice question; none for an open-ended one"),
    Column("answer", "string", "the true answer; for multiple choice, one of the options"),
    Column("rationale", "string", "the chain of thought; empty where none passed the checks"),
    Column("type", "string", "question type, in the benchmark's words"),
    Column("program", "string", "Python source of the program whose trace the chain of thought tells"),
    Column("outcome", "string", "where the question's way through the run ended"),
)


def write_parquet(folder: Path, splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """`data/<split>.parquet`; a row has the names of `COLUMNS`.

    Raises:
        UserError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow.parquet import write_table
    except ImportError:
        raise UserError("export.format=datasets needs pyarrow: pip install 'aotd[export]'") from None
    kinds = {"string": pyarrow.string(), "float": pyarrow.float64(), "strings": pyarrow.list_(pyarrow.string())}
    schema = pyarrow.schema([(column.name, kinds[column.kind]) for column in COLUMNS])
    (folder / "data").mkdir()
    for split, rows in splits.items():
        write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), folder / "data" / f"{split}.parquet")


def write_card(
    folder: Path,
    run: Run,
    splits: Mapping[str, Sequence[Mapping[str, Any]]],
    require: Sequence[str],
    frames: int,
    licence: str,
    book: Ledger,
) -> None:
    """`README.md`: what the dataset is, how it was made, and what to beware of.

    Args:
        require: the checks that a rationale has passed.
        frames: how many frames the specialists were shown of each part of a video.
        book: the ledger of the run, all splits.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - it is Markdown; `_code` guards what comes from the run
    )
    environment.filters |= {"code": _code}
    made = [fact for fact in provenance(run) if fact.folder in FLOW]
    counts = {split: (len(rows), sum(row["rationale"] is not None for row in rows)) for split, rows in splits.items()}
    hashes = [(fact.folder, name, value) for fact in made for name, value in fact.hashes if name.startswith("prompts")]
    text = environment.get_template("card.md.j2").render(
        licence=licence,
        splits=counts,
        require=list(require),
        frames=frames,
        headline=headline(made),
        prompts=hashes,
        columns=COLUMNS,
        outcomes=list(book.counts()),
        meanings=meanings(),
        run_splits=sorted({place.split for place in book.places.values()}),
        where=Counter((place.name, place.split) for place in book.places.values()),
        total=len(book.places),
    )
    write_atomically(folder / "README.md", text)


def _code(text: str) -> str:
    """Text from a run as a code span in a Markdown table: one line, and nothing in it ends the span or the cell."""
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "\\|") + "`"
