"""From the words of the command line to a command, and from exceptions to messages and exit codes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hptbench.errors import UserError, unknown

if TYPE_CHECKING:
    from omegaconf import DictConfig

OK, BROKEN, USAGE, INTERRUPTED = 0, 1, 2, 130


class Incomplete(Exception):
    """Runs of a study that a launcher's process did broke."""


def dispatch(argv: list[str]) -> int:
    """Run a command and return its exit code."""
    try:
        return _command(argv)
    except UserError as error:
        return _usage(str(error))
    except (PermissionError, NotADirectoryError) as error:
        return _usage(f"{error.filename} cannot be written or read: {error.strerror}")
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED


def _command(argv: list[str]) -> int:
    word, rest = argv[0], argv[1:]
    commands: dict[str, Callable[[list[str]], int]] = {
        "run": _run,
        "compare": _compare,
        "publish": _publish,
        "schedule": _schedule,
        "speedup": _speedup,
        "report": _report,
        "checklist": _checklist,
        "reproduce": _reproduce,
        "export": _export,
        "import": _import,
        "list": _list,
        "fetch": _fetch,
        "collect-evaluations": _evaluations,
        "meta": _meta,
        "recommend": _recommend,
        "doctor": _doctor,
        "serve": _serve,
        "surrogate": _surrogate,
    }
    if word in commands:
        return commands[word](rest)
    if re.fullmatch(r"\w[\w-]*", word):
        raise unknown("command", word, commands)
    return _run(argv)


def _run(argv: list[str]) -> int:
    from hptbench.commands.run import run

    return _composed(argv, run)


def _evaluations(argv: list[str]) -> int:
    from hptbench.commands import evaluations

    if settings := evaluations.settings(argv):
        return _composed(settings, evaluations.run)
    return evaluations.main(argv)


def _composed(argv: list[str], command: Callable[[DictConfig], int]) -> int:
    """Call ``command`` with the configuration that Hydra composes from ``argv``."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from hptbench.paths import conf_dir
    from hptbench.registry import add_to_hydra

    add_to_hydra(spaces=names_spaces(argv))
    code, failure = OK, None

    # A group that no defaults list names can only be added; a newcomer writes it without the plus.
    words = [sys.argv[0], *(re.sub(r"^(method|experiment)=", r"+\1=", word) for word in argv)]
    home = os.getpid()

    def task_function(cfg: DictConfig) -> None:
        nonlocal code, failure
        if os.getpid() != home:  # a launcher's process: only what is raised comes back
            sys.argv = words
            if command(cfg) != OK:
                raise Incomplete("runs broke: see above, or the launcher's log")
            return
        try:
            code = max(code, command(cfg))
        except Exception as error:  # Hydra would print its own words first
            failure = failure or error

    sys.argv = words
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra lets exceptions pass; they become messages here
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task_function)()
    except Incomplete as error:
        print(f"hptbench: {error}", file=sys.stderr)
        return BROKEN
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # of composing the settings
        raise UserError(_readable(error)) from error
    if isinstance(failure, HydraException | OmegaConfBaseException):
        raise user_error(failure)
    if failure is not None:
        raise failure
    return code


def names_spaces(words: Sequence[str]) -> bool:
    """Whether a word may change or show the search spaces: a flag, a file of settings, a setting of a space.

    Of an experiment of ours, what its file says decides; one of somebody else's may say anything."""
    from hptbench.paths import conf_dir

    for word in words:
        if re.match(r"(-m|--multirun|hydra[/.]launcher.*)$", word):
            continue  # composed once per job
        if ours := re.match(r"\+?experiment=(\w+)$", word):
            file = conf_dir() / "experiment" / f"{ours[1]}.yaml"
            if not file.is_file() or "space" in file.read_text(encoding="utf-8"):
                return True
        elif re.match(r"-|\+?(experiment|hydra)\b|.*space", word):
            return True
    return False


def _compare(argv: list[str]) -> int:
    from hptbench.commands.compare import main

    return main(argv)


def _publish(argv: list[str]) -> int:
    from hptbench.commands.publish import main

    return main(argv)


def _schedule(argv: list[str]) -> int:
    from hptbench.commands.schedule import main

    return main(argv)


def _speedup(argv: list[str]) -> int:
    from hptbench.commands.speedup import main

    return main(argv)


def _report(argv: list[str]) -> int:
    from hptbench.commands.report import main

    return main(argv)


def _checklist(argv: list[str]) -> int:
    from hptbench.commands.checklist import main

    return main(argv)


def _reproduce(argv: list[str]) -> int:
    from hptbench.commands.reproduce import main

    return main(argv)


def _export(argv: list[str]) -> int:
    from hptbench.commands.export import main

    return main(argv)


def _import(argv: list[str]) -> int:
    from hptbench.commands.import_ import main

    return main(argv)


def _list(argv: list[str]) -> int:
    from hptbench.commands.list import main

    return main(argv)


def _fetch(argv: list[str]) -> int:
    from hptbench.commands.fetch import main

    return main(argv)


def _surrogate(argv: list[str]) -> int:
    from hptbench.commands import surrogate

    return surrogate.main(argv)


def _meta(argv: list[str]) -> int:
    from hptbench.commands.meta import main

    return main(argv)


def _recommend(argv: list[str]) -> int:
    from hptbench.commands.recommend import main

    return main(argv)


def _doctor(argv: list[str]) -> int:
    from hptbench.commands.doctor import main

    return main(argv)


def _serve(argv: list[str]) -> int:
    from hptbench.commands.serve import main

    return main(argv)


def _usage(message: str) -> int:
    print(f"hptbench: {message}", file=sys.stderr)
    return USAGE


def user_error(failure: Exception) -> UserError:
    """The UserError behind an exception of Hydra's or OmegaConf's, or one that says what it says."""
    cause: BaseException | None = failure
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__
    return cause or UserError(_readable(failure))


def _readable(error: Exception) -> str:
    """Hydra's and OmegaConf's messages without their internals, with the nearest spelling."""
    from hydra.errors import MissingConfigException
    from omegaconf import Container
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return str(unknown(group or "configuration", name, error.options))
    cause = error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and isinstance(cause.parent_node, Container):
        where = str(cause.full_key).rpartition(".")[0]
        names = [str(name) for name in cause.parent_node if name not in ("_target_", "hydra")]
        return str(unknown(f"setting of {where}" if where else "setting", cause.key, names))
    texts = dict.fromkeys(" ".join(str(e).split()) for e in (error, cause) if e is not None and str(e))
    return re.sub(r" (full_key|object_type|reference_type)[:=]\s*\S*", "", ": ".join(texts))
