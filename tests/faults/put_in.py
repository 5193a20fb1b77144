"""Puts faults in, one at a time, and prints who notices: `make faults`.

Each fault of the catalogue is written into a copy of the tree. Then run, until one fails: the trajectories, the unit
tests of the room; and beside them the chapters of its list in the smoke profile, against their baselines. A fault that
nobody notices is a hole in the tests. An interrupted call goes on where it stopped; what was answered for the same
sources is not asked again.

    python tests/faults/put_in.py [--only WORD] [--chapters] [--sample N] [--write]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from catalogue import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[2]
ANSWERS = ROOT / "_build" / "faults" / "answers.jsonl"
PAGE = ROOT / "baselines" / "faults.json"
COPIED = ("adlib", "adlib_book", "tests", "notebooks", "baselines", "results", "book")
FILES = ("pyproject.toml", "requirements.lock", "_config.yml")
TIME_LIMIT = 900  # seconds for one check; a fault that makes a test hang is noticed


def main() -> int:
    """Run the catalogue; returns how many faults nobody noticed."""
    options = arguments()
    faults = [fault for fault in FAULTS if options.only in fault.name]
    if options.sample:
        faults = random.Random(time.strftime("%Y%W")).sample(faults, min(options.sample, len(faults)))
    answers = earlier_answers()
    copy = make_copy()
    for number, fault in enumerate(faults, start=1):
        for check in checks_of(fault, options.chapters):
            key = f"{check}:{key_of(fault)}"
            if key not in answers:
                answers[key] = ask(copy, fault, check)
                remember(key, answers[key])
            if check.startswith("tests") and answers[key]:
                break  # trajectories first; one is enough
        print(
            f"{number}/{len(faults)} {fault.name}: {sentence(fault, answers, options.chapters)}", flush=True
        )
    unnoticed = [fault for fault in faults if not noticed_by(fault, answers, options.chapters)]
    print(f"{len(faults) - len(unnoticed)} of {len(faults)} faults noticed")
    if options.write:
        write_page(faults, answers)
    return len(unnoticed)


def arguments() -> argparse.Namespace:
    """The command line's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="faults whose name holds this text")
    parser.add_argument("--sample", type=int, default=0, help="so many, drawn anew every week")
    parser.add_argument(
        "--chapters", action="store_true", help="also the chapters in smoke, minutes per fault"
    )
    parser.add_argument("--write", action="store_true", help="write baselines/faults.json for the page")
    return parser.parse_args()


def checks_of(fault: Fault, chapters: bool) -> list[str]:
    """What may notice a fault, in the order in which it is asked."""
    return [
        *(["tests/trajectories/test_trajectories.py"] if fault.touches == "training" else []),
        *fault.tests,
        *((f"chapter {name}" for name in fault.chapters) if chapters else ()),
    ]


def noticed_by(fault: Fault, answers: dict[str, bool], chapters: bool) -> list[str]:
    """The checks that failed."""
    return [check for check in checks_of(fault, chapters) if answers.get(f"{check}:{key_of(fault)}")]


def sentence(fault: Fault, answers: dict[str, bool], chapters: bool) -> str:
    """Who noticed, in words."""
    return ", ".join(noticed_by(fault, answers, chapters)) or "NOBODY NOTICED"


def key_of(fault: Fault) -> str:
    """Changes with the fault and with everything that may notice it."""
    digest = hashlib.sha256(json.dumps([fault.file, fault.old, fault.new]).encode())
    for folder in ("adlib", "adlib_book/reading.py", "adlib_book/nightly", "tests", "baselines", "notebooks"):
        place = ROOT / folder
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.suffix in {".py", ".ipynb"} or (path.suffix == ".json" and path != PAGE):
                digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def earlier_answers() -> dict[str, bool]:
    """Check and fault -> whether it noticed, of earlier calls."""
    if not ANSWERS.is_file():
        return {}
    return dict(json.loads(line) for line in ANSWERS.read_text().splitlines() if line.endswith("]"))


def remember(key: str, noticed: bool) -> None:
    """Append one answer."""
    ANSWERS.parent.mkdir(parents=True, exist_ok=True)
    with open(ANSWERS, "a") as file:
        file.write(json.dumps([key, noticed]) + "\n")


def make_copy() -> Path:
    """A fresh copy of what the checks read."""
    copy = ROOT / "_build" / "faults" / "tree"
    shutil.rmtree(copy, ignore_errors=True)
    for name in COPIED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    return copy


def ask(copy: Path, fault: Fault, check: str) -> bool:
    """Whether a check fails with the fault in place."""
    path = copy / fault.file
    sound = path.read_text()
    write_anew(path, broken(sound, fault))
    try:
        return run(copy, command(check)) != 0
    finally:
        write_anew(path, sound)


def write_anew(path: Path, text: str) -> None:
    """Write a source file so that no bytecode of an earlier text is taken for its own.

    Bytecode is known by the source's size and whole seconds, and two faults may share both.
    """
    later = int(path.stat().st_mtime) + 1
    path.write_text(text)
    os.utime(path, (later, later))


def broken(source: str, fault: Fault) -> str:
    """The source with the fault.

    Raises:
        ValueError: the text to be replaced does not stand there exactly once.
    """
    if source.count(fault.old) != 1:
        raise ValueError(
            f"{fault.name}: {fault.file} holds {fault.old!r} {source.count(fault.old)} times; expected once. "
            "The code has changed: mend the catalogue."
        )
    return source.replace(fault.old, fault.new)


def command(check: str) -> Iterable[str]:
    """The command of a check; it fails if it notices."""
    if check.startswith("chapter "):
        return ("-m", "adlib_book.cli", "chapters", "run", check.removeprefix("chapter "), "--force")
    return ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-n", "0", check)


def run(copy: Path, command: Iterable[str]) -> int:
    """Exit status of a command in the copy; a timeout counts as a failure."""
    env = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{ROOT / '_build' / 'env'}", "OMP_NUM_THREADS": "1"}
    env |= {"PYTHONPYCACHEPREFIX": str(copy / "_build" / "pycache"), "PYTHONDONTWRITEBYTECODE": ""}
    try:
        return subprocess.run(
            [sys.executable, *command],
            cwd=copy,
            env=env,
            capture_output=True,
            timeout=TIME_LIMIT,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return 124


def write_page(faults: list[Fault], answers: dict[str, bool]) -> None:
    """The answers as the page of watched numbers reads them."""
    rows = [
        {"fault": fault.name, "touches": fault.touches, "noticed_by": noticed_by(fault, answers, True)}
        for fault in faults
    ]
    PAGE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    raise SystemExit(min(main(), 1))
