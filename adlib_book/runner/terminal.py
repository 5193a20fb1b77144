"""What a command says while it works."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Report a step on stderr, at once."""
    print(text, file=sys.stderr, flush=True)
