"""The command line: a verb picks a primary config, Hydra does the rest.

Nothing heavier than Hydra is imported before a verb runs, so help and completion answer at once.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from types import TracebackType

from wellai_exp import stopping
from wellai_exp.cli._help import overview, verb_help
from wellai_exp.cli._verbs import VERBS, find_verb, to_overrides
from wellai_exp.errors import WellaiError
from wellai_exp.masking import masked, remember_arguments

_SHOWN = frozenset(["--cfg", "-c", "--info", "-i"])


def _run_hydra(verb: str, arguments: list[str]) -> None:
    import hydra
    from omegaconf import DictConfig, OmegaConf

    from wellai_exp.config import keep_config, register_plugins
    from wellai_exp.paths import shipped_dir

    register_plugins()
    OmegaConf.register_new_resolver("wellai.pid", os.getpid, replace=True)

    failures: list[Exception] = []

    def task(cfg: DictConfig) -> None:
        from importlib import import_module

        try:
            keep_config(cfg)
            import_module(f"wellai_exp.verbs.{verb}").run(cfg)
            import_module("wellai_exp.verbs._deliver").finish()
        except Exception as error:
            # Kept for later, so that one bad job of a --multirun does not take the others with it.
            failures.append(error)

    sys.argv = [sys.argv[0], *arguments]
    with _masked_output(shown=bool(_SHOWN.intersection(arguments))):
        hydra.main(version_base="1.3", config_path=str(shipped_dir("conf")), config_name=verb)(task)()
    if failures:
        raise failures[0] if len(failures) == 1 else ExceptionGroup("jobs failed", failures)


@contextmanager
def _masked_output(*, shown: bool) -> Iterator[None]:
    """Mask a config that is only to be shown; the screen of a verb at work stays the terminal's own."""
    if not shown:
        yield
        return
    with redirect_stdout(io.StringIO()) as held:
        yield
    print(masked(held.getvalue()), end="")  # noqa: T201


def _complete() -> None:
    """Answer bash's completion: the verb by ourselves, what follows it through Hydra."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    if len(words) > 2 or (len(words) == 2 and line.endswith(" ")):
        if words[1] in VERBS:
            os.environ["COMP_LINE"] = line.replace(f" {words[1]}", "", 1)
            _run_hydra(words[1], sys.argv[1:])
        return
    print(" ".join(VERBS))  # noqa: T201


def _dispatch(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(overview())  # noqa: T201
    elif arguments[0] == "--version":
        from wellai_exp import __version__

        print(__version__)  # noqa: T201
    elif arguments[0] in ("-sc", "--shell-completion"):
        if "query=bash" in arguments:
            _complete()
        else:
            _run_hydra("sweep", arguments)
    elif "--help" in arguments[1:] or "-h" in arguments[1:]:
        print(verb_help(arguments[0], find_verb(arguments[0])))  # noqa: T201
    else:
        _run_hydra(arguments[0], to_overrides(arguments[0], arguments[1:]))


@contextmanager
def _unformatted_errors() -> Iterator[bool]:
    """Have Hydra let errors through instead of printing tracebacks; gives whether the user asked for those."""
    asked = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield asked == "1"
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
        if asked is not None:
            os.environ["HYDRA_FULL_ERROR"] = asked


def main() -> None:
    """Run ``wellai-exp``; exit status 1 with one sentence where the user can mend something."""
    stopping.listen()
    remember_arguments(sys.argv[1:])
    sys.excepthook = _show_masked
    # A log that cannot be written (the disk is full) is no reason to print a traceback for each line.
    logging.raiseExceptions = False
    with _unformatted_errors() as wants_traceback:
        try:
            with stopping.heeded():
                _dispatch(sys.argv[1:])
        except KeyboardInterrupt as stop:
            sys.stderr.write("stopped; what was finished is kept, the same command goes on from there\n")
            sys.exit(143 if isinstance(stop, stopping.Terminated) else 130)
        except BrokenPipeError:
            # The reader of a pipe (`| head`) has gone; Python would complain once more when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            text = None if wants_traceback else _sentence(error)
            if text is None:
                raise
            sys.stderr.write(f"error: {masked(text)}\n")
            sys.exit(1)


def _show_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback as Python does, without secrets."""
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def _sentence(error: Exception) -> str | None:
    if isinstance(error, ExceptionGroup):
        parts = [_sentence(part) for part in error.exceptions]
        return None if None in parts else "\nerror: ".join(str(part) for part in parts)
    if isinstance(error, WellaiError):
        return str(error)
    from wellai_exp.cli._sentences import sentence

    return sentence(error)
