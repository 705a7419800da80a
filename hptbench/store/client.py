"""The ``openml`` package, made safe to run in threads.

It has no time limits, keeps a cache that a killed process leaves broken, writes into the user's home when it is
imported, and prints warnings. While :func:`connected`, its requests have a time limit and fail once instead of being
repeated (:mod:`hptbench.store.fetch` repeats), each thread has the cache folder that it is given, and nothing outside
the store is written. Data come as ARFF: OpenML states checksums of these files only, not of its parquet files.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hptbench.errors import UserError

OPENML = "https://www.openml.org"
_API = "/api/v1/xml"
_ONE_AT_A_TIME = threading.Lock()
_thread = threading.local()
BUSY = frozenset({408, 425, 429})
"""HTTP codes, besides 5xx, after which asking again may help."""
DATABASE_IS_DOWN = 107
"""OpenML's own code."""


class Unavailable(OSError):
    """The server answered, but not with what was asked for; asking again may help."""


@contextmanager
def connected(server: str, timeout: float) -> Iterator[types.ModuleType]:
    """The ``openml`` package, asking ``server``; ``timeout``: seconds without a byte. OPENML_APIKEY is sent if set."""
    url = server.rstrip("/") if "/api" in server else server.rstrip("/") + _API
    if not url.startswith(("http://", "https://")):
        raise UserError(f"expected the address of an OpenML server, e.g. {OPENML}, got {server!r}")
    with _ONE_AT_A_TIME, ExitStack() as stack:
        openml = _imported()
        logger = logging.getLogger("openml")
        level = logger.level
        logger.setLevel(logging.CRITICAL + 1)  # what matters becomes an exception
        stack.callback(logger.setLevel, level)
        for owner, name, value in (
            (openml.config, "server", url),
            (openml.config, "apikey", os.environ.get("OPENML_APIKEY", "")),
            (openml.config, "connection_n_retries", 1),
            (openml.config, "get_cache_directory", lambda: str(_thread.folder)),
            (openml._api_calls, "requests", _requests(timeout)),
            (openml._api_calls, "logging", logger),  # it logs to the root logger, which then prints
        ):
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        stack.enter_context(_environment(OPENML_SKIP_PARQUET="true"))
        yield openml


@contextmanager
def cache(folder: Path) -> Iterator[None]:
    """This thread's cache."""
    _thread.folder = folder
    try:
        yield
    finally:
        del _thread.folder


def reason(error: BaseException) -> str:
    """An exception of a download in a few words, without the API key."""
    import requests
    from openml.exceptions import OpenMLHashException, OpenMLServerException

    text = " ".join(str(error).split())
    if isinstance(error, requests.Timeout) or "timed out" in text:
        words = "the server does not answer (time limit)"
    elif isinstance(error, requests.exceptions.ChunkedEncodingError):
        words = "the answer was cut off"
    elif isinstance(error, requests.ConnectionError):
        words = f"no connection: {text}"
    elif isinstance(error, OpenMLHashException):
        words = f"checksum mismatch: {text}"
    elif isinstance(error, OpenMLServerException):
        words = f"OpenML says: {error.message} (code {error.code})"
    elif isinstance(error, UserError | Unavailable):
        words = text
    else:
        words = f"{type(error).__name__}: {text}"
    key = os.environ.get("OPENML_APIKEY")
    return (words.replace(key, "***") if key else words)[:300]


def may_pass(error: BaseException) -> bool:
    """Whether asking again may help: not for what OpenML or we refuse, nor for mistakes in the program."""
    import xml.parsers.expat

    import arff
    from openml.exceptions import (
        OpenMLNotAuthorizedError,
        OpenMLPrivateDatasetError,
        OpenMLServerException,
        PyOpenMLError,
    )

    if isinstance(error, OpenMLServerException):
        return error.code == DATABASE_IS_DOWN
    if isinstance(error, UserError | OpenMLNotAuthorizedError | OpenMLPrivateDatasetError):
        return False
    # ValueError: what a cut XML or ARFF file becomes
    damaged = (ValueError, KeyError, xml.parsers.expat.ExpatError, arff.ArffException)
    return isinstance(error, (OSError, PyOpenMLError, *damaged))


def _imported() -> types.ModuleType:
    """Importing ``openml`` makes folders in the home and reads a configuration there; not so here."""
    if "openml" in sys.modules:
        return sys.modules["openml"]
    with tempfile.TemporaryDirectory() as home, _environment(HOME=home, XDG_CONFIG_HOME=home, OPENML_CACHE_DIR=home):
        import openml
    return openml


def _requests(timeout: float) -> types.ModuleType:
    """The ``requests`` package with a time limit, and an exception for an answer that is none."""
    import requests

    class Session(requests.Session):
        def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
            response = super().request(method, url, *args, **{**kwargs, "timeout": timeout})
            if response.status_code >= 500 or response.status_code in BUSY:
                raise Unavailable(f"HTTP {response.status_code} from {url}")
            return response

    limited = types.ModuleType("requests")
    vars(limited).update(vars(requests) | {"Session": Session})
    return limited


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
