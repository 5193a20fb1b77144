"""The ledger: one run, one JSON line, appended and never rewritten."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
from numpy.typing import NDArray

from adlib.environment import project_root
from adlib.errors import unknown_name
from adlib.files import append_line


def ledger_folder() -> Path:
    """Where the ledger lies: `results/` of the checkout, or the copy that the installed package carries."""
    root = project_root()
    return root / "results" if root else Path(__file__).resolve().parent.parent / "_results"


def append(record: dict[str, Any], path: str | Path) -> None:
    """Append one record to a ledger file, atomically; two writers take turns.

    Args:
        record: JSON-able, with an "id". A metric that does not apply is left out.
        path: e.g. `ledger_folder() / "ganomaly.jsonl"`.

    Raises:
        ValueError: a number is NaN or infinite, or there is no "id"; names it. Nothing is written.
        OSError: the disk is full; the file is as it was.
    """
    append_line(path, _line(record))


def _line(record: dict[str, Any]) -> str:
    if not record.get("id"):
        raise ValueError(
            "a record needs an 'id': adlib.experiment.record_id({...}) makes one from what identifies the run."
        )
    for key, value in _numbers(record):
        if not math.isfinite(value):
            raise ValueError(
                f"{key} is {value}; leave out what does not apply, and find out why it is not a number."
            )
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


class Ledger:
    """A ledger file that takes each id once, whoever else appends to it at the same time.

    Args:
        path: JSON-lines file; made at the first record.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._ids: set[str] = set()
        self._read = 0  # bytes of whole lines that have been looked at

    def refreshed(self) -> set[str]:
        """The ids in the file now; only what was appended since the last look is read."""
        if self.path.is_file():
            with open(self.path, "rb") as file:
                self._catch_up(file)
        return self._ids

    def add(self, record: dict[str, Any]) -> bool:
        """Append a record, unless one with its id is there.

        Args:
            record: as for `append`.

        Returns:
            Whether it was appended.

        Raises:
            ValueError, OSError: as `append`.
        """

        def there(file: BinaryIO) -> bool:
            self._catch_up(file)
            return record["id"] in self._ids

        return append_line(self.path, _line(record), unless=there)

    def _catch_up(self, file: BinaryIO) -> None:
        file.seek(self._read)
        new = file.read()
        self._read += (
            new.rfind(b"\n") + 1
        )  # a torn last line is closed, and so read again, by the next writer
        for line in new.splitlines():  # one that lacks nothing but its line break counts already
            try:
                self._ids.add(json.loads(line)["id"])
            except (ValueError, KeyError, TypeError):
                continue  # `read` warns of it


def read(path: str | Path) -> list[dict[str, Any]]:
    """Every whole record of one ledger file, oldest first; a torn line is skipped with a warning."""
    records = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            warnings.warn(
                f"{path} line {number} is not whole JSON (a writer was killed?); skipped", stacklevel=2
            )
    return records


def load(*names: str, folder: str | Path | None = None) -> pd.DataFrame:
    """The ledger as a table, one row per run, nested keys joined by "/" ("metrics/image_auroc/D1").

    Args:
        names: ledger files without ending, e.g. "ganomaly"; none means all.
        folder: where they lie; by default `ledger_folder()`.

    Returns:
        One row per id, the newest where a run was repeated; empty when there are no records.

    Raises:
        FileNotFoundError: a named ledger does not exist.
    """
    folder = Path(folder) if folder is not None else ledger_folder()
    paths = [folder / f"{name}.jsonl" for name in names] if names else sorted(folder.glob("*.jsonl"))
    missing = [path for path in paths if not path.is_file()]
    if missing:
        there = ", ".join(sorted(p.stem for p in folder.glob("*.jsonl"))) or "none"
        raise FileNotFoundError(f"no ledger {missing[0]}; there are: {there}. `adlib sweep` writes them.")
    rows = [_flat(record) for path in paths for record in read(path)]
    table = pd.DataFrame(rows)
    if not len(table):
        return table
    by_age = table.reindex(columns=["id", "started_at"]).sort_values(
        "started_at", kind="stable", na_position="first"
    )
    return table.loc[by_age.drop_duplicates("id", keep="last").index.sort_values()].reset_index(drop=True)


def by_score(table: pd.DataFrame, metric: str = "image_auroc", keep: Sequence[str] = ()) -> pd.DataFrame:
    """One row per run and score: the columns "metrics/<metric>/<score>" folded into two.

    Args:
        table: from `load`.
        metric: e.g. "image_auroc". Leaking neighbours ("…@oracle") are left out.
        keep: further columns of the table to carry along.

    Returns:
        Columns id, detector, variant, dataset, seed, contamination, those of `keep`, score and the metric's
        name without "image_" ("auroc"), without missing values.

    Raises:
        ValueError: no column holds that metric per score; names those that are there.
    """
    prefix = f"metrics/{metric}/"
    columns = {c: c.removeprefix(prefix) for c in table.columns if c.startswith(prefix) and "@" not in c}
    if not columns:
        known = {c.split("/")[1] for c in table.columns if c.startswith("metrics/") and c.count("/") == 2}
        raise unknown_name("metric per score", metric, known)
    who = ["id", "detector", "variant", "dataset", "seed", "contamination", *keep]
    long = table[[*who, *columns]].rename(columns=columns)
    name = metric.removeprefix("image_")
    return long.melt(who, var_name="score", value_name=name).dropna(subset=[name]).reset_index(drop=True)


def per_set(table: pd.DataFrame, value: str = "auroc") -> dict[str, NDArray[Any]]:
    """The runs of one detector by data set, as `viz.paper_beside_ours` takes them.

    Args:
        table: one row per run, with the columns "dataset" and `value`.
        value: column to take.

    Returns:
        Data set -> values (runs,), both in the order of the table.
    """
    return {name: runs[value].to_numpy() for name, runs in table.groupby("dataset", sort=False)}


def seed_range(table: pd.DataFrame, value: str, by: str | Sequence[str] = "dataset") -> pd.Series:
    """How far seeds alone move a value: the largest minus the smallest mean of a seed, where there are two or more.

    Args:
        table: one row per run, with the columns "seed", `value` and those named by `by`.
        value: column to compare, e.g. "metrics/image_auroc".
        by: columns that say which runs differ by nothing but the seed.

    Returns:
        One value per group, indexed by `by`; NaN for a group with one seed.
    """
    by_seed = table.pivot_table(index=by, columns="seed", values=value)
    return (by_seed.max(axis=1) - by_seed.min(axis=1)).where(by_seed.count(axis=1) > 1)


def origin(name: str, runs: pd.DataFrame) -> str:
    """Where a figure's runs come from, in one line for its stamp.

    Args:
        name: of the ledger.
        runs: those drawn, from `load`.

    Returns:
        For instance "ledger chapter1 · 64 px · seeds 0 to 2 · adlib 1a2b3c".
    """
    sizes, seeds, sources = (sorted(runs[key].unique()) for key in ("image_size", "seed", "adlib"))
    listed = " and ".join(map(str, sizes)), ", ".join(map(str, seeds)), ", ".join(sources)
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        listed = listed[0], f"{seeds[0]} to {seeds[-1]}", listed[2]
    return f"ledger {name} · {listed[0]} px · seed{'s' * (len(seeds) > 1)} {listed[1]} · adlib {listed[2]}"


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every float in nested dicts and lists, with the way to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{name}/{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            yield from _numbers(inner, f"{name}[{place}]")
    elif isinstance(value, float):
        yield name, value


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}/"))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
