"""The one exception for what a user can put right: bad input, bad files, impossible settings."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN = 40
"""Known names that a message lists."""


class UserError(ValueError):
    """Says in one message what was expected, what was got, and what to do.

    The command line prints it without a stack trace and exits with code 2.
    """


class CannotWrite(UserError):
    """The disk is full, or refuses to be written: nothing is wrong with what was asked for."""


def unknown(kind: str, name: object, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist: what there is, and the nearest spelling."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return UserError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names[:_SHOWN]) or 'none'}{more}")
