"""The licence of every package in requirements.lock, as its own metadata states it: book/licences.csv.

    python tools/licences.py            # with the environment's interpreter: rewrites the list, keeps its notes

What is not installed here (packages for other systems) keeps the line it has. A licence that asks more than to be
named needs a note that says why the package may be used; a test looks (tests/house/test_supply_chain.py).
"""

from __future__ import annotations

import csv
import io
import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "book" / "licences.csv"
COLUMNS = ("package", "licence", "note")
# Licences that ask no more than to be named, in the words that packages use for them.
PERMISSIVE = re.compile(
    r"(?:MIT|MIT License|MIT-CMU|(?:\d-Clause )?BSD(?:-\d-Clause)?(?: License)?|0BSD|ISC(?: License \(ISCL\))?"
    r"|Apache(?:-| )(?:2\.0|Software License)(?: WITH LLVM-exception)?|Zlib|BSL-1\.0|CC0-1\.0|PSF-2\.0"
    r"|Python Software Foundation License|Public Domain|DFSG approved)"
)


def locked() -> dict[str, str]:
    """Package -> version, of requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text()
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lines, re.MULTILINE))


def licence_of(package: str) -> str | None:
    """What the metadata of an installed package calls its licence; None where it is not installed."""
    try:
        about = metadata.metadata(package).json
    except metadata.PackageNotFoundError:
        return None
    named = [each.split(" :: ")[-1] for each in about.get("classifier", ()) if each.startswith("License")]
    named = [each for each in named if each != "OSI Approved"]
    stated = about.get("license_expression") or "; ".join(named) or about.get("license", "")
    return str(stated).split("\n")[0]


def is_permissive(licence: str) -> bool:
    """Whether one may take a package under a licence that only asks to be named."""
    parts = re.split(r" AND |; ", licence)
    return bool(licence) and all(
        any(PERMISSIVE.fullmatch(one) for one in part.split(" OR ")) for part in parts
    )


def read() -> dict[str, dict[str, str]]:
    """The list as it stands: package -> row."""
    if not LIST.is_file():
        return {}
    with LIST.open(newline="", encoding="utf-8") as lines:
        return {row["package"]: row for row in csv.DictReader(lines)}


def main() -> None:
    """Rewrite the list."""
    before, text = read(), io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    for package in sorted(locked(), key=str.lower):
        row = before.get(package, {})
        licence = licence_of(package)
        table.writerow(
            {
                "package": package,
                "licence": row.get("licence", "") if licence is None else licence,
                "note": row.get("note", ""),
            }
        )
    LIST.write_text(text.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    main()
