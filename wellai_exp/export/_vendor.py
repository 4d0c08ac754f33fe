"""The live page's files, and the libraries that npm has for it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wellai_exp.errors import StoreError
from wellai_exp.paths import ensure_dir

PAGE = Path(__file__).resolve().parent.parent / "page"
"""Where the page's own files lie, in a checkout and in an installed wheel."""

_TESTBENCH = frozenset({"bench.html", "bench.js"})
"""Files beside the page that only the browser runtimes need."""

_LITERT_WASM = tuple(f"litert_wasm_{kind}internal.{end}" for kind in ("", "compat_") for end in ("js", "wasm"))
_TFJS = ("tfjs-core/dist/tf-core", "tfjs-converter/dist/tf-converter", "tfjs-backend-wasm/dist/tf-backend-wasm",
         "tfjs-backend-webgpu/dist/tf-backend-webgpu")  # fmt: skip
# What a page loads of 146 MB. The threaded kinds are left out: they gain little and want headers that a static host
# may not send.
_NEEDED = {
    "litert/index.js": "@litertjs/core/dist/index.js",
    "litert/wasm-utils.js": "@litertjs/wasm-utils/dist/index.js",
    **{f"litert/wasm/{name}": f"@litertjs/core/wasm/{name}" for name in _LITERT_WASM},
    **{f"tfjs/{Path(stem).name}.es2017.min.js": f"@tensorflow/{stem}.es2017.min.js" for stem in _TFJS},
    **{
        f"tfjs/{name}": f"@tensorflow/tfjs-backend-wasm/dist/{name}"
        for name in ("tfjs-backend-wasm.wasm", "tfjs-backend-wasm-simd.wasm")
    },
}
# A bare name is looked up in node_modules, which a page has not, and a worker has no import map.
_BARE, _RELATIVE = 'from "@litertjs/wasm-utils";', 'from "./wasm-utils.js"; // changed: was "@litertjs/wasm-utils"'
# What the files above were built from, as far as they hold its code.
_SHIPPED = ("@litertjs/core", "@litertjs/wasm-utils", "@tensorflow/tfjs-core", "@tensorflow/tfjs-converter",
            "@tensorflow/tfjs-backend-cpu", "@tensorflow/tfjs-backend-wasm", "@tensorflow/tfjs-backend-webgpu",
            "long", "seedrandom")  # fmt: skip
_LICENCE_TEXTS = {"Apache License 2.0": "long/LICENSE", "seedrandom": "seedrandom/README.md"}
_INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline",
            "--loglevel=error")  # fmt: skip
_SECONDS = 900


def add_page(folder: Path, store: Path) -> None:
    """Put the live page into a bundle's folder, before it is sealed: ``index.html``, and ``page/`` with all it loads.

    Parameters
    ----------
    folder : Path
        The bundle.
    store : Path
        ``paths.store``, where the libraries are kept once they were fetched.

    Raises
    ------
    StoreError
        Where the libraries are not there yet and npm is missing or cannot fetch them, or a file cannot be written.
    """
    libraries = page_libraries(store)
    try:
        shutil.copyfile(PAGE / "index.html", folder / "index.html")
        for name in page_files():
            (folder / "page" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PAGE / name, folder / "page" / name)
        shutil.copytree(libraries, folder / "page" / "lib", dirs_exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the live page cannot be written into {folder} ({error.strerror or error}); "
            "free the disk or the folder and type the same command."
        ) from error


def page_files() -> Iterator[str]:
    """Give the names of the page's own files, relative to `PAGE`, but ``index.html``."""
    for pattern in ("*.js", "*.css", "*.svg", "locales/*.js"):
        for path in sorted(PAGE.glob(pattern)):
            if path.name not in _TESTBENCH:
                yield path.relative_to(PAGE).as_posix()


def page_libraries(store: Path) -> Path:
    """Give the folder of the page's libraries in the store, fetched by npm where it is not there yet.

    Parameters
    ----------
    store : Path
        ``paths.store``.

    Raises
    ------
    StoreError
        Where npm is missing, cannot fetch them, or the store cannot be written.
    """
    from filelock import FileLock

    kept = ensure_dir(store / "page", "paths.store")
    lock = PAGE / "package-lock.json"
    key = hashlib.sha256(lock.read_bytes() + json.dumps([_NEEDED, _RELATIVE, _SHIPPED]).encode()).hexdigest()[:16]
    place = kept / key
    with FileLock(kept / ".lock"):
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=kept) as scratch:
                _fetch(Path(scratch))
                _pick(Path(scratch) / "node_modules", Path(scratch) / "picked")
                # Renamed when whole, so that a killed command leaves nothing that looks whole.
                (Path(scratch) / "picked").rename(place)
    return place


def _fetch(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise StoreError(
            "npm is not on PATH, and the live page's libraries come from it; install Node.js 20 or later, which brings "
            "npm, and type the same command."
        )
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(PAGE / name, folder / name)
    try:
        done = subprocess.run(  # noqa: S603 - npm itself, with fixed arguments
            [npm, *_INSTALL], cwd=folder, check=False, capture_output=True, text=True, timeout=_SECONDS
        )
        said = " ".join((done.stderr or done.stdout).split())[:300] if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if said:
        raise StoreError(
            f"npm cannot fetch the live page's libraries ({said}); connect to the network and type the same command."
        )


def _pick(modules: Path, place: Path) -> None:
    """Copy what is needed, with what says whose it is."""
    for name, source in _NEEDED.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(modules / source, place / name)
    index = place / "litert" / "index.js"
    text = index.read_text(encoding="utf-8")
    if text.count(_BARE) != 1:
        raise StoreError(f"@litertjs/core imports its helper in another way than {_BARE!r}; mend _vendor.py.")
    index.write_text(text.replace(_BARE, _RELATIVE), encoding="utf-8")
    (place / "LICENCES.txt").write_text(_licences(modules), encoding="utf-8")


def _licences(modules: Path) -> str:
    lines = ["The files in this folder are built from these packages of npm:", ""]
    for name in _SHIPPED:
        package = json.loads((modules / name / "package.json").read_text(encoding="utf-8"))
        author = package.get("author") or "Google LLC"
        lines.append(f"{name} {package['version']}: {package['license']}, {author}")
    for title, source in _LICENCE_TEXTS.items():
        lines += ["", "=" * 80, title, "=" * 80, (modules / source).read_text(encoding="utf-8")]
    return "\n".join(lines) + "\n"
