"""MLflow's pages, in a real browser, over a store that a sweep has written."""

from __future__ import annotations

import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from place import Place, Swept

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("swept"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed on this machine"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def address(swept: Swept) -> Iterator[str]:
    """Serve the sweep's store as `wellai-exp ui` does."""
    port = free_port()
    process = swept.place.start("ui", "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{url}/health", timeout=1).read()
            break
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                pytest.fail(str(process.communicate()[0]))
            time.sleep(0.25)
    yield url
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a fresh browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1500, "height": 950})
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


def parent_of(place: Place) -> Any:
    (parent,) = place.runs("sweep")
    return parent


def test_the_runs_page_shows_the_sweep_and_its_children(address: str, page: Page, swept: Swept) -> None:
    parent = parent_of(swept.place)
    page.goto(f"{address}/#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}")
    page.get_by_text("sweep tiny").first.wait_for()
    page.get_by_text("Child runs", exact=True).first.wait_for()
    names = [run.data.tags["mlflow.runName"] for run in swept.place.runs("trial")]
    for name in names:
        page.get_by_text(name).first.wait_for()
    page.get_by_text("wellai.reproduce").first.wait_for()


@pytest.mark.parametrize("picture", ["test/confusion_matrix.png", "test/pr_curves.png", "search/worth_imbalance.png"])
def test_the_artifacts_page_draws_the_plots(address: str, page: Page, swept: Swept, picture: str) -> None:
    parent = parent_of(swept.place)
    run = f"{address}/#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}"
    page.goto("about:blank")
    page.goto(f"{run}/artifacts/{picture}")
    page.wait_for_function(
        "[...document.querySelectorAll('img')].some(image => image.complete && image.naturalWidth > 600)"
    )


def test_the_model_page_shows_the_version_with_its_alias(address: str, page: Page) -> None:
    page.goto("about:blank")
    page.goto(f"{address}/#/models/tiny")
    page.get_by_text("Version 1").first.wait_for()
    page.get_by_text("challenger").first.wait_for()


def test_a_foreign_host_name_is_refused(address: str) -> None:
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": "evil.example"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
