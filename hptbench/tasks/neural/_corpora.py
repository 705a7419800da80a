"""Text that ships with Python: nothing is fetched, and what it holds depends on Python's version.

name             documents                                              characters (3.11)
---------------  -----------------------------------------------------  -----------------
python_topics    the topics of ``help()`` (``pydoc_data.topics``), but  373,000
                 those that are sections of others
python_library   the modules of the standard library that are one file  4,660,000

Both are under the PSF licence. A symbol is a line break or one of the 95 printable characters of ASCII; all others are
read as question marks.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown
from hptbench.rng import entropy, stream

LICENCE = "PSF-2.0 (text that ships with Python)"
Symbols = NDArray[np.int64]
_SPACE, _LAST = 32, 126
SYMBOLS = _LAST - _SPACE + 2
"""The line break is 0, the space 1."""
_VALIDATION, _TEST = 0.2, 0.2
"""Shares of the characters, in whole documents."""
_LINE = 40
"""Characters of a line by which texts are compared."""


class Parts(NamedTuple):
    """The symbols of the documents of each part, one after the other."""

    training: Symbols
    validation: Symbols
    test: Symbols

    def sha256(self) -> str:
        """Of all of them."""
        return hashlib.sha256(b"\0".join(part.astype(np.uint8).tobytes() for part in self)).hexdigest()


def symbols(text: str) -> Symbols:
    """(characters,) numbers of a text."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)
    printable = (codes >= _SPACE) & (codes <= _LAST)
    return np.where(codes == ord("\n"), 0, np.where(printable, codes, ord("?")) - _SPACE + 1)


def check_corpus(name: str) -> None:
    """UserError for an unknown one."""
    if name not in _CORPORA:
        raise unknown("corpus", name, _CORPORA)


@lru_cache(maxsize=8)
def parts(name: str, split: int, training: int, held: int) -> Parts:
    """So many characters of three groups of documents, drawn by ``split``: the beginnings of all of a group, long ones
    as far as it takes. UserError if there are fewer."""
    documents = _CORPORA[name]()
    names = sorted(documents)
    order = [names[i] for i in stream(entropy("corpus", name, split)).permutation(len(names))]
    ends = np.cumsum([len(documents[one]) for one in order]) / max(sum(map(len, documents.values())), 1)
    groups = np.searchsorted([_TEST, _TEST + _VALIDATION], ends, side="left")
    chosen = []
    for group, what, wanted in ((2, "training", training), (1, "validation", held), (0, "test", held)):
        own = [documents[one] for one, its in zip(order, groups, strict=True) if its == group]
        text = "".join(one[: _limit([len(one) for one in own], wanted)] for one in own)
        if len(text) < wanted:
            raise UserError(
                f"corpus {name!r}: expected {wanted} characters of {what}, got {len(text)}; "
                "set characters or held lower"
            )
        chosen.append(symbols(text[:wanted]))
    return Parts(*chosen)


def _limit(lengths: Sequence[int], wanted: int) -> int:
    """The least length to which texts can be cut so that they have ``wanted`` characters; the longest if they lack."""
    return bisect.bisect_left(range(max(lengths, default=0)), wanted, key=lambda n: sum(min(n, one) for one in lengths))


def _topics() -> dict[str, str]:
    """Many topics are sections of longer ones, which alone are taken: else training would know what is tested on."""
    from pydoc_data.topics import topics

    kept: dict[str, str] = {}
    known: set[str] = set()
    for name, text in sorted(topics.items(), key=lambda topic: (-len(topic[1]), topic[0])):
        lines = {line.strip() for line in text.splitlines() if len(line.strip()) >= _LINE}
        if 2 * len(lines & known) <= len(lines):
            kept[name] = text
            known |= lines
    return kept


def _library() -> dict[str, str]:
    import sysconfig
    from pathlib import Path

    files = Path(sysconfig.get_paths()["stdlib"]).glob("*.py")
    return {file.stem: file.read_text(encoding="utf-8") for file in files if not file.stem.startswith("_sysconfigdata")}


_CORPORA: Mapping[str, Callable[[], Mapping[str, str]]] = {"python_topics": _topics, "python_library": _library}
