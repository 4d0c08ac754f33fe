"""The live page's libraries: what npm is asked for, what is taken of it, and what is said where there is none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from colours import needs_npm

from wellai_exp.errors import StoreError
from wellai_exp.export import add_page, page_libraries
from wellai_exp.export._site import CONTENT_SECURITY_POLICY
from wellai_exp.export._vendor import PAGE


def test_the_lock_pins_every_package_and_names_no_address() -> None:
    text = (PAGE / "package-lock.json").read_text()
    assert "://" not in text
    assert "resolved" not in text
    packages = json.loads(text)["packages"]
    assert all(package["integrity"].startswith("sha512-") for name, package in packages.items() if name)
    assert packages[""]["dependencies"] == json.loads((PAGE / "package.json").read_text())["dependencies"]


def test_the_pages_own_policy_is_that_of_the_server() -> None:
    (own,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', (PAGE / "index.html").read_text())
    assert own == CONTENT_SECURITY_POLICY


def test_the_page_names_no_other_host_and_writes_no_markup() -> None:
    for path in [*PAGE.glob("*.*"), *PAGE.glob("locales/*")]:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )


def test_both_languages_say_the_same_things() -> None:
    said = []
    for language in ("en", "ko"):
        text = (PAGE / "locales" / f"{language}.js").read_text(encoding="utf-8")
        entries = re.findall(r'^  (\w+): "(.+)",$', text, re.MULTILINE)
        assert len(entries) == len(text.splitlines()) - 2
        said.append({key: sorted(re.findall(r"\{\w+\}", words)) for key, words in entries})
    assert said[0] == said[1]
    asked = {
        key
        for path in [*PAGE.glob("*.js"), PAGE / "index.html"]
        for key in re.findall(r'(?:say\(|tell\(|SourceProblem\(|data-words=)"(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert asked
    assert asked <= set(said[0])


def test_without_npm_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "bundle").mkdir()
    with pytest.raises(StoreError, match=r"install Node\.js 20"):
        add_page(tmp_path / "bundle", tmp_path / "store")
    assert list((tmp_path / "bundle").iterdir()) == []


def test_what_npm_says_reaches_the_user_and_nothing_half_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\nmkdir node_modules\necho no route to the registry >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    with pytest.raises(StoreError, match=r"no route to the registry.*connect to the network"):
        page_libraries(tmp_path / "store")
    assert [path.name for path in (tmp_path / "store" / "page").iterdir()] == [".lock"]


@needs_npm
def test_a_page_is_complete_with_its_licences(
    page_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What was fetched once needs no npm again.
    page_libraries(page_store)
    monkeypatch.setenv("PATH", str(tmp_path))
    add_page(tmp_path, page_store)
    library = tmp_path / "page" / "lib"
    assert (tmp_path / "index.html").is_file()
    assert not list(tmp_path.rglob("bench.*"))
    assert (library / "litert" / "wasm" / "litert_wasm_internal.wasm").read_bytes()[:4] == b"\0asm"
    assert 'from "./wasm-utils.js"' in (library / "litert" / "index.js").read_text(encoding="utf-8")
    licences = (library / "LICENCES.txt").read_text(encoding="utf-8")
    assert "@tensorflow/tfjs-core 4.22.0: Apache-2.0" in licences
    assert "Apache License" in licences
    assert "Copyright 2019 David Bau" in licences
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 25e6
