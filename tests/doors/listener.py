"""Run commands one after another in this process and say what each did beyond its own business.

Called as ``python listener.py CASES FOLDER``: `CASES` is a JSON list of argument lists. It prints an object for each
with the exit status, what was said, and the events that Python's audit hooks saw: from those nothing that is imported,
opened or started can hide.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

STARTS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "subprocess.Popen", "pty.spawn")
LOADS = ("pickle.find_class", "ctypes.dlopen", "marshal.loads", "code.__new__")
_seen: list[str] = []
_listening: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _listening:
        return
    if event == "import":
        _seen.append(f"import {arguments[0]}")
    elif event in STARTS or event in ("pickle.find_class", "socket.connect"):
        _seen.append(f"{event} {arguments}")
    elif event == "open" and not isinstance(arguments[0], int) and set(str(arguments[1])) & set("wax+"):
        _seen.append(f"write {Path(os.fsdecode(arguments[0])).absolute()}")


def main(cases: list[list[str]], folder: str) -> None:
    """Run the cases in a folder."""
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.addaudithook(_hook)
    from wellai_exp.cli import main as wellai_exp

    # The first command imports what any command does.
    for number, arguments in enumerate([["train", "imbalance=nothing"], ["train", "split.folds=x"], *cases]):
        sys.argv = ["wellai-exp", *arguments]
        said, status = io.StringIO(), 0
        _seen.clear()
        _listening.append(True)
        try:
            with redirect_stderr(said), redirect_stdout(said):
                wellai_exp()
        except SystemExit as left:
            status = int(left.code or 0)
        except BaseException as error:
            said.write(f"Traceback: {type(error).__name__}: {error}")
            status = -1
        _listening.clear()
        if number >= 2:
            print(json.dumps({"status": status, "said": said.getvalue(), "seen": [each for each in _seen if each]}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2])
