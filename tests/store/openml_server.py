"""A small OpenML: a threaded HTTP server on 127.0.0.1 that speaks what the ``openml`` package asks for, with faults."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

XMLNS = 'xmlns:oml="http://openml.org/openml"'
FAULTS = ("502", "502-html", "cut", "cut-quietly", "short", "altered", "hang", "reset")


@dataclass
class Data:
    """A data set as OpenML has it. A column's type: numeric, string, date, or the list of its labels."""

    id: int
    name: str
    columns: dict[str, str | list[str]]
    rows: list[Sequence[Any]]
    target: str | None = "class"
    row_id: str | None = None
    ignore: Sequence[str] = ()
    format: str = "ARFF"
    md5: str | None = None
    """None: the right one."""

    def arff(self) -> bytes:
        lines = [f"@RELATION {_quoted(self.name)}", ""]
        for name, kind in self.columns.items():
            spelt = "{" + ",".join(map(_quoted, kind)) + "}" if isinstance(kind, list) else kind.upper()
            lines.append(f"@ATTRIBUTE {_quoted(name)} {spelt}")
        lines += ["", "@DATA"]
        lines += [",".join("?" if value is None else _quoted(value) for value in row) for row in self.rows]
        return ("\n".join(lines) + "\n").encode()


@dataclass
class TaskOf:
    """A task with cross-validation: the rows of each fold follow from their number."""

    id: int
    data: int
    target: str
    n_rows: int
    type: int = 1
    repeats: int = 2
    folds: int = 3

    def test_rows(self, repeat: int, fold: int) -> list[int]:
        return [row for row in range(self.n_rows) if row // (repeat + 1) % self.folds == fold]

    def splits(self) -> bytes:
        lines = [
            f"@RELATION t{self.id}", "@ATTRIBUTE type {TRAIN,TEST}", "@ATTRIBUTE rowid INTEGER",
            "@ATTRIBUTE repeat INTEGER", "@ATTRIBUTE fold INTEGER", "@DATA",
        ]  # fmt: skip
        for repeat in range(self.repeats):
            for fold in range(self.folds):
                test = set(self.test_rows(repeat, fold))
                lines += [
                    f"{'TEST' if row in test else 'TRAIN'},{row},{repeat},{fold}"
                    for row in reversed(range(self.n_rows))
                ]
        return ("\n".join(lines) + "\n").encode()


@dataclass
class Fault:
    path: str
    how: str
    times: int


@dataclass
class Server:
    """``with Server(data, tasks, suites) as server``: OPENML_SERVER is ``server.url``."""

    data: Sequence[Data] = ()
    tasks: Sequence[TaskOf] = ()
    suites: dict[tuple[int, str], Sequence[int]] = field(default_factory=dict)
    """(id, alias) -> ids of tasks."""
    latency: float = 0.0
    """Seconds before each answer."""

    def __post_init__(self) -> None:
        self.asked: Counter[str] = Counter()
        """Path -> how often."""
        self.came = threading.Event()
        """Set when a request meets a fault."""
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def fail(self, path: str, how: str, times: int = 10**9) -> None:
        """The next ``times`` answers to paths that contain the regular expression go wrong."""
        assert how in FAULTS
        self._faults.append(Fault(path, how, times))

    def mend(self) -> None:
        self._faults.clear()

    def __enter__(self) -> Server:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    # answers

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        time.sleep(self.latency)
        with self._lock:
            self.asked[path] += 1
            fault = next((f for f in self._faults if f.times > 0 and re.search(f.path, path)), None)
            if fault is not None:
                fault.times -= 1
                self.came.set()
        code, body = self._content(path)
        how = fault.how if fault else ""
        if how == "reset":
            handler.close_connection = True
            return
        if how == "hang":
            self._closing.wait(30)
            handler.close_connection = True
            return
        if how.startswith("502"):
            code = 502
            body = b"<html><body><h1>502 Bad Gateway</h1></body></html>" if how == "502-html" else b"Bad Gateway"
        if how == "altered":
            body = body[:-2] + bytes([body[-2] ^ 1]) + body[-1:]
        if how == "short":
            body = body[: body.rstrip().rindex(b"\n") + 1]
        if how == "cut-quietly":
            body = body[: len(body) // 2]
        packed = gzip.compress(body) if code == 200 else body
        handler.send_response(code)
        if code == 200:
            handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Type", "text/xml; charset=utf-8")
        handler.send_header("Content-Length", str(len(packed)))
        handler.end_headers()
        if how == "cut":
            handler.wfile.write(packed[: len(packed) // 2])
            handler.close_connection = True
        else:
            handler.wfile.write(packed)

    def _content(self, path: str) -> tuple[int, bytes]:
        data = {d.id: d for d in self.data}
        tasks = {t.id: t for t in self.tasks}
        suites = {str(key): (*both, ids) for both, ids in self.suites.items() for key in both}
        for pattern, known, make in (
            (r"/api/v1/xml/data/(\d+)", data, self._description),
            (r"/api/v1/xml/data/features/(\d+)", data, _features),
            (r"/data/v1/download/(\d+)/.*", data, Data.arff),
            (r"/api/v1/xml/task/(\d+)", tasks, self._task),
            (r"/api_splits/get/(\d+)/.*", tasks, TaskOf.splits),
        ):
            if found := re.fullmatch(pattern, path):
                one: Any = known.get(int(found[1]))  # type: ignore[attr-defined]
                return _error(111, "Unknown dataset") if one is None else (200, make(one))  # type: ignore[operator]
        if (found := re.fullmatch(r"/api/v1/xml/study/(.+)", path)) and found[1] in suites:
            return 200, _study(*suites[found[1]])
        return _error(601, "Illegal ID")

    def _description(self, data: Data) -> bytes:
        optional = "".join(
            f"<oml:{tag}>{escape(value)}</oml:{tag}>"
            for tag, value in (
                ("default_target_attribute", data.target),
                ("row_id_attribute", data.row_id),
                *(("ignore_attribute", name) for name in data.ignore),
            )
            if value is not None
        )
        return (
            f"<oml:data_set_description {XMLNS}><oml:id>{data.id}</oml:id><oml:name>{data.name}</oml:name>"
            f"<oml:version>1</oml:version><oml:description>made by a test</oml:description>"
            f"<oml:format>{data.format}</oml:format><oml:upload_date>2014-04-06T23:19:24</oml:upload_date>"
            f"<oml:licence>CC0</oml:licence><oml:url>{self.url}/data/v1/download/{data.id}/{data.name}.arff</oml:url>"
            f"<oml:file_id>{data.id}</oml:file_id>{optional}<oml:visibility>public</oml:visibility>"
            f"<oml:parquet_url>{self.url}/parquet/{data.id}.pq</oml:parquet_url><oml:status>active</oml:status>"
            f"<oml:md5_checksum>{data.md5 or hashlib.md5(data.arff()).hexdigest()}</oml:md5_checksum>"
            f"</oml:data_set_description>"
        ).encode()

    def _task(self, task: TaskOf) -> bytes:
        name = {1: "Supervised Classification", 2: "Supervised Regression", 5: "Clustering"}[task.type]
        parameters = {
            "number_repeats": task.repeats, "number_folds": task.folds, "percentage": "", "stratified_sampling": "true"
        }  # fmt: skip
        return (
            f"<oml:task {XMLNS}><oml:task_id>{task.id}</oml:task_id><oml:task_type_id>{task.type}</oml:task_type_id>"
            f"<oml:task_type>{name}</oml:task_type><oml:input name='source_data'><oml:data_set>"
            f"<oml:data_set_id>{task.data}</oml:data_set_id><oml:target_feature>{task.target}</oml:target_feature>"
            "</oml:data_set></oml:input><oml:input name='estimation_procedure'><oml:estimation_procedure>"
            "<oml:id>1</oml:id><oml:type>crossvalidation</oml:type>"
            f"<oml:data_splits_url>{self.url}/api_splits/get/{task.id}/splits.arff</oml:data_splits_url>"
            + "".join(f"<oml:parameter name='{key}'>{value}</oml:parameter>" for key, value in parameters.items())
            + "</oml:estimation_procedure></oml:input><oml:input name='evaluation_measures'><oml:evaluation_measures>"
            "<oml:evaluation_measure>predictive_accuracy</oml:evaluation_measure></oml:evaluation_measures></oml:input>"
            "</oml:task>"
        ).encode()


def _features(data: Data) -> bytes:
    parts = []
    for index, (name, kind) in enumerate(data.columns.items()):
        labels = kind if isinstance(kind, list) else []
        spelt = "nominal" if isinstance(kind, list) else "date" if kind.startswith("date") else kind
        parts.append(
            f"<oml:feature><oml:index>{index}</oml:index><oml:name>{escape(name)}</oml:name>"
            f"<oml:data_type>{spelt}</oml:data_type>"
            + "".join(f"<oml:nominal_value>{escape(label)}</oml:nominal_value>" for label in labels)
            + f"<oml:number_of_missing_values>{sum(row[index] is None for row in data.rows)}"
            "</oml:number_of_missing_values></oml:feature>"
        )
    return f"<oml:data_features {XMLNS}>{''.join(parts)}</oml:data_features>".encode()


def _study(id_: int, alias: str, tasks: Sequence[int]) -> bytes:
    return (
        f"<oml:study {XMLNS}><oml:id>{id_}</oml:id><oml:alias>{alias}</oml:alias>"
        "<oml:main_entity_type>task</oml:main_entity_type><oml:name>A suite</oml:name>"
        "<oml:description>made by a test</oml:description><oml:status>active</oml:status>"
        "<oml:creation_date>2019-02-21 18:47:13</oml:creation_date><oml:creator>1</oml:creator>"
        f"<oml:tasks>{''.join(f'<oml:task_id>{task}</oml:task_id>' for task in tasks)}</oml:tasks></oml:study>"
    ).encode()


def _error(code: int, message: str) -> tuple[int, bytes]:
    body = f"<oml:error {XMLNS}><oml:code>{code}</oml:code><oml:message>{message}</oml:message></oml:error>"
    return 412, body.encode()


def _quoted(value: Any) -> str:
    text = str(value)
    return text if re.fullmatch(r"[\w.+-]+", text) else "'" + text.replace("'", "\\'") + "'"


# data of the tests


def credit(id_: int = 31, rows: int = 60) -> Data:
    """Numbers, labels, booleans, missing values, a row id, a column to ignore, one called target."""
    random = np.random.default_rng(id_)
    label = random.integers(2, size=rows)
    columns: dict[str, str | list[str]] = {
        "id": "numeric", "amount": "numeric", "checking status": ["<0", "0<=X<200", "no checking"],
        "own": ["TRUE", "FALSE"], "target": "numeric", "leak": "numeric", "class": ["good", "bad"],
    }  # fmt: skip
    status = columns["checking status"]
    values = [
        (
            i, round(float(random.normal(2 * label[i])), 3), status[i % 3] if i % 7 else None,
            "TRUE" if random.random() < 0.5 else "FALSE", i % 5, int(label[i]), ("good", "bad")[label[i]],
        )
        for i in range(rows)
    ]  # fmt: skip
    return Data(id_, "credit-g", columns, values, row_id="id", ignore=("leak",))


def prices(id_: int = 43, rows: int = 40) -> Data:
    """Regression with text."""
    random = np.random.default_rng(id_)
    columns: dict[str, str | list[str]] = {"size": "numeric", "town": "string", "price": "numeric"}
    size = random.uniform(20, 200, rows).round(1)
    values = [(float(s), ["Ulm", "New York", None][i % 3], round(float(3 * s), 2)) for i, s in enumerate(size)]
    return Data(id_, "house prices (raw)", columns, values, target="price")
