"""Rows of a data set by name: from the Hub, a folder of parquet files, or one file; streamed or not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset, Image, IterableDataset, load_dataset

from .base import SourceError


def open_rows(name: str, split: str = "train", samples: int | None = None, streaming: bool = False) -> Dataset:
    """The first `samples` rows (None: all) of a split, with images left as they are stored: {"bytes", "path"}.

    Args:
        name: A Hub name ("jxie/flickr8k"), a folder with parquet files named by their split ("train.parquet",
            "data/train-00000-of-00002.parquet"), or one .parquet, .json or .jsonl file.
        split: "train", "validation" or "test"; a single file is taken whatever it is called.
        streaming: Fetch only the rows that are wanted. They are kept on disk, so the next run has the same.

    Raises:
        SourceError: There is no such data, or it cannot be read; says what to do.
    """
    if streaming and samples is None:
        raise SourceError(f"{name} is to be streamed: say how many rows to fetch, with --samples.")
    try:
        if streaming:
            stream = _load(name, split, streaming=True)
            # Kept as Arrow under the hash of these arguments, so that a stopped run goes on with the same rows.
            rows = Dataset.from_generator(
                _first_rows, features=stream.features, gen_kwargs={"name": name, "split": split, "samples": samples}
            )
        else:
            rows = _load(name, split, streaming=False)
    except SourceError:
        raise
    except Exception as error:  # datasets raises many kinds: of its own, OSError, ValueError, pyarrow's
        raise SourceError(_why_not(name, split, error)) from error
    if not len(rows):
        raise SourceError(f"{name} has no rows in its {split} split that can be read.")
    return rows if samples is None else rows.select(range(min(samples, len(rows))))


def _load(name: str, split: str, streaming: bool) -> Dataset | IterableDataset:
    kind, files = _local_files(name, split)
    if files:
        # A damaged file among several costs its own rows only; datasets names it in a warning.
        options: dict[str, Any] = {"on_bad_files": "warn"} if kind == "parquet" else {}
        loaded = load_dataset(kind, data_files={split: files}, split=split, streaming=streaming, **options)
    else:
        loaded = load_dataset(name, split=split, streaming=streaming)
    for column, feature in (loaded.features or {}).items():
        if isinstance(feature, Image):  # decoding waits until a row is used, so that a broken one costs only itself
            loaded = loaded.cast_column(column, Image(decode=False))
    return loaded


def _local_files(name: str, split: str) -> tuple[str, list[str]]:
    """How to read local data, and its files; none where the name is not local."""
    path = Path(name)
    if path.is_file():
        kind = {".parquet": "parquet", ".json": "json", ".jsonl": "json"}.get(path.suffix)
        if kind is None:
            raise SourceError(f"{path} is neither a .parquet nor a .json or .jsonl file.")
        return kind, [str(path)]
    if not path.is_dir():
        if path.suffix in (".parquet", ".json", ".jsonl") or name.startswith(("/", ".", "~")):
            raise SourceError(f"There is no file or folder {path}. Please check the path.")
        return "", []
    matching = sorted(path.glob(f"{split}*.parquet")) or sorted(path.glob(f"data/{split}*.parquet"))
    if not matching:
        there = sorted(item.name for item in [*path.glob("*.parquet"), *path.glob("data/*.parquet")])
        raise SourceError(
            f"{path} holds no {split}*.parquet; "
            + (f"it has {', '.join(there[:8])}. Choose another split." if there else "it has no parquet files at all.")
        )
    return "parquet", [str(item) for item in matching]


def _first_rows(name: str, split: str, samples: int) -> Iterator[dict[str, Any]]:
    yield from _load(name, split, streaming=True).take(samples)


def _why_not(name: str, split: str, error: Exception) -> str:
    reason = " ".join(str(error.__cause__ or error).split())[:300]
    if Path(name).exists():
        return f"{name} ({split}) cannot be read: {reason}. Please copy or download the file once more."
    if isinstance(error, ConnectionError):
        return (
            f"There is no local file or folder {name}, and the Hub cannot be reached. Give a local path, or go online."
        )
    return f"{name} ({split}) cannot be loaded from the Hub: {reason}"
