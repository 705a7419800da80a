from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import hptbench
from hptbench.commands.shell import dispatch
from hptbench.errors import UserError
from hptbench.service import ASK, CREATE, TELL, Service
from hptbench.tuner import Tuner

ROOT = Path(hptbench.__file__).resolve().parent.parent
SPACE = {"x": {"type": "float", "lower": 0, "upper": 1}}
TOKEN = "a token of many characters"
Answer = tuple[int, Any]


@contextmanager
def served(folder: Path, **options: Any) -> Iterator[Service]:
    with Service(folder, "127.0.0.1", 0, **options) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with served(tmp_path / "tuners") as one:
        yield one


def call(at: Service | str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": "application/json"} if headers is None else headers
    request = urllib.request.Request((at if isinstance(at, str) else at.url) + path, data, given)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read(), parse_constant=pytest.fail)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["error"]


def create(at: Service | str, **settings: Any) -> Answer:
    return call(at, "/tuners", {"name": "mine", "space": SPACE, "method": "tpe", **settings})


def test_it_asks_and_tells_as_in_python_and_goes_on_when_started_again(tmp_path: Path) -> None:
    here = Tuner(SPACE, "tpe", budget=14)
    for part in range(2):
        with served(tmp_path) as service:
            assert create(service, budget=14)[0] == (200 if part else 201)
            for _ in range(7):
                _, asked = call(service, "/tuners/mine/ask", {"n": 1})
                [job] = asked["jobs"]
                expected = here.ask()
                assert expected is not None
                assert (job["id"], job["config"], job["seed"]) == (expected.id, expected.config, expected.seed)
                value = abs(job["config"]["x"] - 0.4)
                here.tell(expected, value)
                status, told = call(service, "/tuners/mine/tell", {"job": job["id"], "value": value})
                assert (status, told["values"]) == (200, [value])
    with served(tmp_path) as service:
        assert call(service, "/tuners") == (200, {"tuners": ["mine"]})
        _, state = call(service, "/tuners/mine")
        _, history = call(service, "/tuners/mine/history")
        assert call(service, "/tuners/mine/ask", {}) == (200, {"jobs": [], "over": True})
    assert here.best is not None
    assert [result["values"] for result in state["best"]] == [[here.best.value]]
    assert [result["values"][0] for result in history["results"]] == [result.value for result in here.history]
    assert (state["told"], state["pending"], state["over"]) == (14, [], True)


def test_requests_can_be_repeated(service: Service) -> None:
    assert create(service)[0] == 201
    assert create(service)[0] == 200
    assert create(service, seed=1) == (409, "tuner 'mine' exists with another seed; take another name")
    _, asked = call(service, "/tuners/mine/ask", {"n": 2})
    assert call(service, "/tuners/mine")[1]["pending"] == asked["jobs"]
    told = {"job": 0, "status": "failed", "message": "no"}
    first = call(service, "/tuners/mine/tell", told)
    assert first[1]["values"] is None, "JSON has no infinity"
    assert call(service, "/tuners/mine/tell", told) == first
    status, error = call(service, "/tuners/mine/tell", {"job": 0, "value": 1})
    assert status == 400
    assert "a result stays as it is" in error


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/", None, 404, "openapi.yaml"),
        ("/tuners/mine/ask", None, 405, "takes POST, got GET"),
        ("/tuners/nine", None, 404, "Did you mean 'mine'"),
        ("/tuners/..%2f..%2fetc/ask", {}, 400, "expected a name of letters"),
        ("/tuners", {"name": "../x", "space": SPACE}, 400, "expected a name of letters"),
        ("/tuners", {"name": "größe", "space": SPACE}, 400, "expected a name of letters"),
        ("/tuners", {"name": "x"}, 400, r"expected the field\(s\) space"),
        ("/tuners", {"name": "x", "space": "/etc/passwd"}, 400, "expected the space itself"),
        ("/tuners", {"name": "x", "space": {"x": {"type": "space", "space": "../x"}}}, 400, "unknown space '../x'"),
        ("/tuners", {"name": "x", "space": SPACE, "path": "/tmp/x"}, 400, "unknown field 'path'"),
        (
            "/tuners",
            {"name": "x", "space": SPACE, "method": "start_from", "settings": {"study": "/"}},
            400,
            "field start",
        ),
        ("/tuners", {"name": "x", "space": SPACE, "method": "tep"}, 400, "unknown method 'tep'"),
        ("/tuners", {"name": "x", "space": SPACE, "method": ["gp"]}, 400, "expected method to be str"),
        ("/tuners", {"name": "x", "space": SPACE, "objectives": [1]}, 400, "list of names"),
        ("/tuners", [1], 400, "expected a JSON object, got list"),
        ("/tuners", b"{", 400, "expected JSON"),
        ("/tuners/mine/ask", {"n": 0}, 400, "at least 1 job"),
        ("/tuners/mine/ask", {"n": 1001}, 400, "at most 1000 jobs"),
        ("/tuners/mine/ask", {"n": True}, 400, "expected n to be int"),
        ("/tuners/mine/tell", {"job": 3, "value": 1}, 400, "job 3 is not pending"),
        ("/tuners/mine/tell", {"job": 0, "value": "1"}, 400, "expected value to be"),
        ("/tuners/mine/tell", {"job": 0, "value": 10**400}, 400, "that no float can hold"),
        ("/tuners/mine/tell", {"job": 0, "value": 1, "curve": [3]}, 400, "pairs of fidelity and value"),
    ],
)
def test_what_cannot_be_answered_is_said(service: Service, path: str, body: Any, status: int, message: str) -> None:
    create(service)
    call(service, "/tuners/mine/ask", {})
    got, error = call(service, path, body)
    assert got == status
    assert re.search(message, error), error


def test_every_error_is_json(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    request = urllib.request.Request(service.url + "/tuners", method="DELETE")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert json.loads(caught.value.read()) == {"error": "Unsupported method ('DELETE')"}
    monkeypatch.setattr("hptbench.service._state", lambda *_: {"note": math.inf})
    status, error = create(service)
    assert (status, "not JSON compliant" in error) == (500, True)


def test_a_tuner_whose_method_fails_is_loaded_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    create(service)
    first = call(service, "/tuners/mine/ask", {})
    with monkeypatch.context() as patch:
        search = type(service.tuners["mine"]._search)
        patch.setattr(search, "ask", lambda *_: 1 / 0)
        assert call(service, "/tuners/mine/ask", {}) == (500, "ZeroDivisionError: division by zero")
    assert call(service, "/tuners/mine")[1]["pending"] == first[1]["jobs"]
    here = Tuner(SPACE, "tpe")
    _, second = here.ask(1), here.ask(1)
    [job] = call(service, "/tuners/mine/ask", {})[1]["jobs"]
    assert (job["id"], job["config"]) == (1, second[0].config)


def test_a_full_disk_is_the_servers_fault_and_nothing_is_lost(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    create(service)
    call(service, "/tuners/mine/ask", {})
    told = {"job": 0, "value": 1}
    with monkeypatch.context() as patch:
        patch.setattr("hptbench.journal.os.write", full)
        for path, body in (("tell", told), ("ask", {})):
            status, error = call(service, f"/tuners/mine/{path}", body)
            assert status == 507
            assert "No space left on device" in error
        assert create(service, name="other")[0] == 507
    assert call(service, "/tuners/mine/tell", told)[1]["values"] == [1.0]


@pytest.mark.parametrize("size", [0, 30])
def test_a_journal_without_its_first_line_is_none(service: Service, tmp_path: Path, size: int) -> None:
    create(service)
    service.tuners.close()
    path = tmp_path / "tuners" / "mine.jsonl"
    path.write_bytes(path.read_bytes()[:size])
    assert call(service, "/tuners/mine")[0] == 404
    assert create(service)[0] == 201
    assert [job["id"] for job in call(service, "/tuners/mine/ask", {})[1]["jobs"]] == [0]


def test_a_web_site_elsewhere_can_ask_nothing(service: Service) -> None:
    create(service)
    plain = {"Content-Type": "text/plain"}
    assert call(service, "/tuners/mine/ask", {}, plain)[0] == 415
    foreign = {"Content-Type": "application/json", "Host": "evil.example:80"}
    assert call(service, "/tuners/mine/ask", {}, foreign)[0] == 403
    assert call(service, "/tuners", None, {"Host": "127.0.0.1.evil.example"})[0] == 403
    assert call(service, "/tuners", None, {"Host": "[::1]:80"})[0] == 200
    assert call(service, "/tuners", None, {"Host": "127.0.0.2:80"})[0] == 200, "where a server may be, too"
    assert call(service, "/tuners/mine")[1]["pending"] == []


def test_a_token_is_needed_for_other_machines_and_checked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can be reached from other machines"):
        Service(tmp_path, "0.0.0.0", 0)
    with pytest.raises(UserError, match="at least 16 printable"):
        Service(tmp_path, "0.0.0.0", 0, "short")
    with served(tmp_path, token=TOKEN) as service:
        for wrong in (None, "Bearer x", f"Bearer {TOKEN}x", TOKEN):
            headers = {"Content-Type": "application/json"} | ({"Authorization": wrong} if wrong else {})
            assert call(service, "/tuners", None, headers)[0] == 401
            assert call(service, "/openapi.yaml", None, headers)[0] == 401
        assert call(service, "/tuners", None, {"Authorization": f"Bearer {TOKEN}"}) == (200, {"tuners": []})


def test_a_port_that_is_taken_and_a_missing_token_file(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = service.server_address[1]
    assert dispatch(["serve", "--folder", str(tmp_path), "--port", str(port)]) == 2
    assert f"127.0.0.1 port {port} cannot be used (Address already in use)" in capsys.readouterr().err
    assert dispatch(["serve", "--token-file", str(tmp_path / "none")]) == 2
    assert "expected a file that holds the token" in capsys.readouterr().err


def test_the_schema_says_what_goes_in_and_out(service: Service) -> None:
    with urllib.request.urlopen(service.url + "/openapi.yaml", timeout=30) as answer:
        schema = yaml.safe_load(answer.read())
    parts = schema["components"]["schemas"]

    def names(part: str) -> set[str]:
        return set(parts[part]["properties"])

    for part, fields in (("Create", CREATE), ("Ask", ASK), ("Tell", TELL)):
        assert names(part) == set(fields)
    _, state = create(service)
    _, asked = call(service, "/tuners/mine/ask", {})
    _, result = call(service, "/tuners/mine/tell", {"job": 0, "value": 1})
    _, history = call(service, "/tuners/mine/history")
    got = {"Tuner": state, "Asked": asked, "Job": asked["jobs"][0], "Result": result, "History": history}
    assert {part: names(part) for part in got} == {part: set(answer) for part, answer in got.items()}
    for path, verbs in schema["paths"].items():
        for verb, body in (("get", None), ("post", {})):
            if path != "/openapi.yaml":
                status, _ = call(service, path.replace("{name}", "mine"), body)
                assert (status == 405) == (verb not in verbs), (path, verb)


@pytest.mark.parametrize(("program", "client"), [("curl", ["sh", "tune.sh"]), ("node", ["node", "tune.mjs"])])
def test_the_clients_of_the_docs_work(service: Service, program: str, client: list[str]) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    file = ROOT / "docs" / "clients" / client[1]
    done = subprocess.run([client[0], file, service.url, "theirs"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    _, state = call(service, "/tuners/theirs")
    assert (state["told"], state["over"]) == (15, True)
    assert state["best"][0]["values"][0] < 0.01


@pytest.mark.slow
def test_killed_and_started_again_nothing_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hptbench", "serve", "--folder", "tuners", "--port", "0"]
    told = []
    for _ in range(2):
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                url = process.stdout.readline().split()[0]
                _, state = create(url)
                job = (state["pending"] or call(url, "/tuners/mine/ask", {})[1]["jobs"])[0]
                told.append(job["id"])
                call(url, "/tuners/mine/tell", {"job": job["id"], "value": 0.5})
                call(url, "/tuners/mine/ask", {})
            finally:
                process.kill()
    assert told == [0, 1]
