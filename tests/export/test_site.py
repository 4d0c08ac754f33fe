"""What `wellai-exp serve` gives to whom: the bundle's own files, to this machine, and nothing else."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from wellai_exp.cli import main
from wellai_exp.errors import SettingError, StoreError
from wellai_exp.export import Artifact, Bundle, Site, bundle_site, read_bundle, seal_bundle


def make(folder: Path, *, page: bool = True) -> Bundle:
    (folder / "page").mkdir(parents=True)
    if page:
        (folder / "index.html").write_text("<p>page</p>")
    (folder / "page" / "x.wasm").write_bytes(b"\0asm")
    (folder / "page" / "안내 글.js").write_text("1;", encoding="utf-8")
    (folder.parent / "secret.txt").write_text("secret")
    artifact = Artifact("tflite_float32", "tflite", "page/x.wasm", 32, 0.1, fit=True)
    bundle = Bundle(folder, "demo", 3, "ab" * 32, ("a", "b"), {}, (0.5, None), 32, "pad", (artifact,), "2026-01-01")
    seal_bundle(bundle)
    return bundle


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with bundle_site(make(tmp_path / "bundle"), 0) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        yield opened
        opened.shutdown()


def ask(site: Site, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", site.server_address[1], timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer, answer.read()


def test_files_come_with_their_kinds_and_the_rules_for_a_browser(site: Site) -> None:
    answer, body = ask(site, "/")
    assert (answer.status, body) == (200, b"<p>page</p>")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval'" in policy.replace("'wasm-unsafe-eval'", "unsafe-eval'")
    assert "'unsafe-eval'" not in policy
    assert "unsafe-inline" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ask(site, "/page/x.wasm?v=1")[0].headers["Content-Type"] == "application/wasm"
    assert ask(site, "/page/%EC%95%88%EB%82%B4%20%EA%B8%80.js")[1] == b"1;"
    assert ask(site, "/", "HEAD")[1] == b""
    again, body = ask(site, "/", **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status, body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/page/", "/page", "/../secret.txt", "/page/../../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt",
        "//etc/passwd", "/page/..%5c..%5csecret.txt", "/SHA256SUMS", "/index.html/", "/%00", "/\\..\\secret.txt",
    ],
)  # fmt: skip
def test_nothing_but_the_bundles_files_is_given(site: Site, path: str) -> None:
    answer, body = ask(site, path)
    assert answer.status == 404
    assert b"secret" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(site: Site, method: str) -> None:
    assert ask(site, "/index.html", method)[0].status in (405, 501)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.evil.example:{port}", ""])
def test_a_foreign_host_name_is_refused(site: Site, host: str) -> None:
    answer, body = ask(site, "/", Host=host.format(port=site.server_address[1]))
    assert answer.status == 403
    assert b"page" not in body


def test_localhost_is_this_machine(site: Site) -> None:
    assert ask(site, "/", Host=f"localhost:{site.server_address[1]}")[0].status == 200


def test_a_file_that_is_changed_later_is_not_given_any_more(site: Site, tmp_path: Path) -> None:
    (tmp_path / "bundle" / "index.html").write_text("<script>steal()</script>")
    answer, body = ask(site, "/")
    assert answer.status == 409
    assert b"steal" not in body


def test_other_machines_do_not_reach_it(site: Site) -> None:
    assert site.server_address[0] == "127.0.0.1"


def test_a_busy_port_and_a_bundle_without_a_page_are_told_in_a_sentence(tmp_path: Path) -> None:
    bundle = make(tmp_path / "a" / "bundle")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(SettingError, match="another program listens there"):
            bundle_site(bundle, other.getsockname()[1])
    with pytest.raises(SettingError, match="0 to 65535"):
        bundle_site(bundle, 65536)
    with pytest.raises(StoreError, match=r"Node\.js"):
        bundle_site(make(tmp_path / "b" / "bundle", page=False), 0)


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["wellai-exp", "serve", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err
    assert stopped.value.code == 1
    assert "Traceback" not in said
    assert said.count("\n") == 1
    return said


def test_the_verb_refuses_what_is_tampered_with_or_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "bundle")
    file = tmp_path / "bundle" / "page" / "x.wasm"
    file.write_bytes(b"\1asm")
    assert "x.wasm was changed after the export" in refused(monkeypatch, capsys, "bundle")
    assert "is no bundle" in refused(monkeypatch, capsys, ".")
    assert "bundle" in refused(monkeypatch, capsys)
    file.write_bytes(b"\0asm")
    read_bundle(tmp_path / "bundle")
    assert "must be a whole number" in refused(monkeypatch, capsys, "bundle", "--port", "x")


def test_the_verb_prints_the_address_serves_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    make(tmp_path / "bundle")
    process = subprocess.Popen(
        [sys.executable, "-m", "wellai_exp", "serve", "bundle", "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(line.partition("http://127.0.0.1:")[2].partition(";")[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"<p>page</p>"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "stopped\n", "")
