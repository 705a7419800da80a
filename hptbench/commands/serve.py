"""``serve``: tuners for any language, asked and told by JSON over HTTP.

python -m hptbench serve --folder tuners
curl -s localhost:8765/tuners -H 'Content-Type: application/json' -d '{"name": "mine", "method": "tpe",
    "space": {"x": {"type": "float", "lower": 0, "upper": 1}}}'
curl -s localhost:8765/tuners/mine/ask -H 'Content-Type: application/json' -d '{"n": 1}'
curl -s localhost:8765/tuners/mine/tell -H 'Content-Type: application/json' -d '{"job": 0, "value": 0.25}'

/openapi.yaml says all of it. The folder holds a journal per tuner; started again, the server goes on with them.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from hptbench.errors import UserError

PORT = 8765
VARIABLE = "HPTBENCH_TOKEN"


def main(argv: list[str]) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        "python -m hptbench serve", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("tuners"), help="where the journals are; default: tuners")
    parser.add_argument("--address", default="127.0.0.1", help="default: 127.0.0.1; all others need a token")
    parser.add_argument("--port", type=int, default=PORT, help=f"default: {PORT}; 0: any that is free")
    parser.add_argument("--token-file", type=Path, help=f"file that holds the token; or the variable {VARIABLE}")
    options = parser.parse_args(argv)

    from hptbench.service import Service

    with Service(options.folder, options.address, options.port, _token(options.token_file)) as service:
        print(f"{service.url} serves the tuners in {options.folder}; end with Ctrl-C", flush=True)
        try:
            service.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(VARIABLE) or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UserError(f"expected a file that holds the token, got {file}: {error}") from error
