"""Tuners for any language: ask and tell as JSON over HTTP. ``openapi.yaml`` beside this file says what goes in and out.

Every tuner has its journal in the server's folder, which is all that the server knows: started again, it goes on.
Results are on the disk before they are answered. Requests from this machine need no token, but must be JSON and name
this machine (a web site elsewhere can do neither); all others need one.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

from hptbench.errors import CannotWrite, UserError, unknown
from hptbench.journal import begun
from hptbench.protocol import Status
from hptbench.suggestions import Result, Suggestion, best_of, front_of
from hptbench.tuner import Tuner

_NUMBER, _NUMBERS = (int, float), (int, float, list)
CREATE: Mapping[str, tuple[type, ...]] = {
    "name": (str,), "space": (dict, str), "method": (str,), "settings": (dict,), "seed": (int,),
    "budget": (int, float, dict), "fidelity": (dict,), "objectives": (list,), "constraints": (list,), "workers": (int,),
    "clock": (str,), "start": (list,),
}  # fmt: skip
"""What a new tuner is told, as in :class:`hptbench.tuner.Tuner`, and the types of each field."""
ASK: Mapping[str, tuple[type, ...]] = {"n": (int,)}
TELL: Mapping[str, tuple[type, ...]] = {
    "job": (int,), "value": _NUMBERS, "constraints": _NUMBERS, "cost": _NUMBER, "status": (str,), "message": (str,),
    "curve": (list,),
}  # fmt: skip
_NAME = re.compile(r"\w[\w.-]{0,63}", re.ASCII)
"""As it is written in a path of HTTP."""
_LARGEST = 10**7
"""Bytes of a request."""
_MOST = 1000
"""Jobs of a request."""
_LEAST_TOKEN = 16


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Tuners:
    """The tuners of a folder, by name; each is loaded when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._open: dict[str, Tuner] = {}
        self._locks: dict[str, threading.Lock] = {}
        """By name: to load a tuner may take long, and the others do not wait for it."""

    def close(self) -> None:
        """Let go of all journals."""
        while self._open:
            self._open.popitem()[1].close()

    def names(self) -> list[str]:
        """Of all that there are."""
        return sorted(path.stem for path in self._folder.glob("*.jsonl"))

    def create(self, name: str, settings: Mapping[str, Any]) -> tuple[Tuner, bool]:
        """The tuner of these settings, and whether it is new. Refused if there is one of others."""
        made = Tuner(**settings)
        path = self._path(name)
        with self._locks.setdefault(name, threading.Lock()):
            if not begun(path):
                self._open[name] = Tuner(**settings, path=path)
                return self._open[name], True
        there = self[name]
        if there.about != made.about:
            odd = next(key for key in made.about if made.about[key] != there.about[key])
            raise Refused(HTTPStatus.CONFLICT, f"tuner {name!r} exists with another {odd}; take another name")
        return there, False

    def __getitem__(self, name: str) -> Tuner:
        path = self._path(name)
        if not begun(path):
            raise Refused(HTTPStatus.NOT_FOUND, str(unknown("tuner", name, self.names())))
        with self._locks.setdefault(name, threading.Lock()):
            if name not in self._open or self._open[name].closed:  # its method has raised an exception
                self._open[name] = Tuner.load(path)
            return self._open[name]

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UserError(f"expected a name of letters (a to z), digits, _, - and ., at most 64, got {name!r}")
        return self._folder / f"{name}.jsonl"


class Service(ThreadingHTTPServer):
    """Serves the tuners of ``folder`` at an address. UserError if it may not, or the port is taken."""

    daemon_threads = True

    def __init__(self, folder: Path, address: str, port: int, token: str | None = None) -> None:
        self.local = _is_loopback(address)
        if token is None and not self.local:
            raise UserError(
                f"{address} can be reached from other machines: give the server a token of at least {_LEAST_TOKEN} "
                "characters, by --token-file or the variable HPTBENCH_TOKEN, which every request then has to carry"
            )
        if token is not None and (len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable()):
            raise UserError(f"expected a token of at least {_LEAST_TOKEN} printable ASCII characters, got {len(token)}")
        self.token = token
        self.tuners = Tuners(folder)
        if ":" in address:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((address, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(
                f"{address} port {port} cannot be used ({reason}); set --port, 0 for any that is free"
            ) from error

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self.server_address[:2]
        return f"http://{f'[{host!s}]' if self.address_family == socket.AF_INET6 else str(host)}:{port}"

    def server_close(self) -> None:
        """Let go of the port and of the journals."""
        super().server_close()
        self.tuners.close()

    def answer(self, verb: str, path: str, body: Any) -> tuple[HTTPStatus, Any]:
        """Status and JSON of a request that may be made. Refused and UserError if it cannot be answered."""
        routes: dict[str, Callable[[], Any]]
        match [part for part in path.split("/") if part]:
            case ["tuners"]:
                routes = {"GET": lambda: {"tuners": self.tuners.names()}, "POST": lambda: self._create(body)}
            case ["tuners", name]:
                routes = {"GET": lambda: _state(name, self.tuners[name])}
            case ["tuners", name, "history"]:
                routes = {"GET": lambda: {"results": [_result(result) for result in self.tuners[name].history]}}
            case ["tuners", name, "ask"]:
                routes = {"POST": lambda: _ask(self.tuners[name], body)}
            case ["tuners", name, "tell"]:
                routes = {"POST": lambda: _tell(self.tuners[name], body)}
            case _:
                raise Refused(HTTPStatus.NOT_FOUND, f"nothing is at {path}; /openapi.yaml says what there is")
        if verb not in routes:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {' and '.join(routes)}, got {verb}")
        answered: Any = routes[verb]()
        return answered if isinstance(answered, tuple) else (HTTPStatus.OK, answered)

    def _create(self, body: Any) -> tuple[HTTPStatus, Any]:
        given = _fields(body, CREATE, ("name", "space"))
        name, space = str(given.pop("name")), given["space"]
        if isinstance(space, str) and not re.fullmatch(r"\w+", space):  # no file of the server's
            raise UserError(f"expected the space itself, or the name of a packaged one, got {space!r}")
        if given.get("method") == "start_from":  # which can read files of the server's, too
            raise UserError("expected the method itself, got 'start_from': give it with the field start")
        tuner, new = self.tuners.create(name, given)
        return (HTTPStatus.CREATED if new else HTTPStatus.OK), _state(name, tuner)


def _ask(tuner: Tuner, body: Any) -> Any:
    n = _fields(body, ASK, ()).get("n", 1)
    if n > _MOST:
        raise UserError(f"expected to ask for at most {_MOST} jobs at a time, got {n}")
    jobs = tuner.ask(n)
    return {"jobs": [_job(job) for job in jobs], "over": tuner.over}


def _tell(tuner: Tuner, body: Any) -> Any:
    given = _fields(body, TELL, ("job",))
    return _result(tuner.tell(given.pop("job"), given.pop("value", None), **given))


def _fields(body: Any, known: Mapping[str, tuple[type, ...]], needed: Sequence[str]) -> dict[str, Any]:
    """The object of a request, without nulls. UserError for fields that it should not have, or should."""
    if not isinstance(body, dict | None):
        raise UserError(f"expected a JSON object, got {type(body).__name__}")
    given = {name: value for name, value in (body or {}).items() if value is not None}
    for name, value in given.items():
        if name not in known:
            raise unknown("field", name, known)
        if not isinstance(value, known[name]) or isinstance(value, bool):
            kinds = " or ".join(kind.__name__ for kind in known[name])
            raise UserError(f"expected {name} to be {kinds}, got {value!r}")
    if missing := [name for name in needed if name not in given]:
        raise UserError(f"expected the field(s) {', '.join(missing)}, got {', '.join(given) or 'none'}")
    return given


def _state(name: str, tuner: Tuner) -> Any:
    history = tuner.history
    found = [best_of(history)] if len(tuner.about["objectives"]) == 1 else front_of(history)
    return {
        "name": name,
        "settings": tuner.about,
        "told": len(history),
        "pending": [_job(job) for job in tuner.pending],
        "best": [_result(result) for result in found if result is not None],
        "over": tuner.over,
    }


def _job(job: Suggestion) -> Any:
    names = ("id", "trial", "config", "fidelity", "start", "source", "seed", "note")
    return {name: getattr(job, name) for name in names}


def _result(result: Result) -> Any:
    """Of a failed job there are no values: JSON knows no infinity."""
    ok = result.status is Status.OK
    return {
        "job": _job(result.job),
        "status": result.status,
        "values": result.values if ok else None,
        "constraints": result.constraints if ok else None,
        "cost": result.cost,
        "message": result.message,
    }


def _encoded(answer: Any) -> bytes:
    return json.dumps(answer, allow_nan=False).encode() + b"\n"


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


class _Handler(BaseHTTPRequestHandler):
    server: Service
    server_version = "hptbench"
    sys_version = ""
    timeout = 60
    error_content_type = "application/json"
    error_message_format = '{"error": "%(message)s"}\n'

    def do_GET(self) -> None:
        self._answer(lambda: None)

    def do_POST(self) -> None:
        self._answer(self._body)

    def _answer(self, read: Callable[[], Any]) -> None:
        kind = "application/json"
        try:
            self._check()
            body = read()
            if self.path == "/openapi.yaml" and self.command == "GET":
                schema = resources.files("hptbench").joinpath("openapi.yaml").read_bytes()
                status, answer, kind = HTTPStatus.OK, schema, "application/yaml"
            else:
                status, found = self.server.answer(self.command, self.path, body)
                answer = _encoded(found)
        except Refused as error:
            status, answer = error.status, _encoded({"error": str(error)})
        except CannotWrite as error:
            status, answer = HTTPStatus.INSUFFICIENT_STORAGE, _encoded({"error": str(error)})
        except UserError as error:
            status, answer = HTTPStatus.BAD_REQUEST, _encoded({"error": str(error)})
        except Exception as error:  # of a method: the server goes on, and says so
            self.log_error("%s: %s", type(error).__name__, error)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer = _encoded({"error": f"{type(error).__name__}: {error}"})
        self._send(status, answer, kind)

    def _check(self) -> None:
        token = self.server.token
        if token is not None:
            given = self.headers.get("Authorization") or ""
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                raise Refused(HTTPStatus.UNAUTHORIZED, "expected the header Authorization: Bearer TOKEN")
        elif not _is_loopback(re.sub(r":\d+$", "", self.headers.get("Host") or "").strip("[]")):
            raise Refused(HTTPStatus.FORBIDDEN, "only for this machine, by its own name")

    def _body(self) -> Any:
        kind = (self.headers.get("Content-Type") or "").partition(";")[0].strip()
        if kind != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected the header Content-Type: application/json")
        length = self.headers.get("Content-Length") or ""
        if not length.isdecimal():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "expected the header Content-Length")
        if int(length) > _LARGEST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {_LARGEST} bytes, got {length}")
        try:
            return json.loads(self.rfile.read(int(length)) or b"null")
        except ValueError as error:
            raise UserError(f"expected JSON, got what is none: {error}") from error

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing of requests: there may be thousands."""
