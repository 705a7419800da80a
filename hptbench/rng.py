"""Random streams addressed by name, so that no stream depends on the order of calls."""

from __future__ import annotations

import hashlib
import struct

import numpy as np

_WORDS = struct.Struct("<4I")


def entropy(*path: str | int) -> tuple[int, ...]:
    """Four 32-bit words that stand for a path of names, e.g. ``("digits", 3, "trial", 17)``."""
    digest = hashlib.blake2b(repr(path).encode(), digest_size=16).digest()
    return _WORDS.unpack(digest)


def stream(words: tuple[int, ...]) -> np.random.Generator:
    """A generator of its own for the words of :func:`entropy`."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def seed32(words: tuple[int, ...]) -> int:
    """One 32-bit seed for libraries that take an integer (scikit-learn's ``random_state``)."""
    return words[0]
