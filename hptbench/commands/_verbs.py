"""Commands of several verbs, such as ``meta train``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from hptbench.errors import unknown


def do(command: str, verbs: Mapping[str, Callable[[list[str]], int]], argv: list[str], description: str | None) -> int:
    """Do what the first of ``argv`` says with the others, and return the exit code. UserError for an unknown verb."""
    parser = argparse.ArgumentParser(
        f"python -m hptbench {command}", description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("verb", metavar="|".join(verbs))
    verb = parser.parse_args(argv[:1]).verb
    if verb not in verbs:
        raise unknown(f"{command} command", verb, verbs)
    return verbs[verb](argv[1:])
