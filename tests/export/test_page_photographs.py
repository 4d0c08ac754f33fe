"""The live page before a webcam that films real photographs: it names what Keras names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from colours import needs_npm
from test_page import CHROMIUM, visiting

from wellai_exp.data import ImageFolder, ImageReader, Split, build_manifest, read_image
from wellai_exp.export import (
    Artifact,
    Bundle,
    Served,
    add_page,
    browser_flags,
    bundle_site,
    seal_bundle,
    target_named,
    write_saved_model,
)
from wellai_exp.models import Application

SIZE = 160
FILMED, SECONDS_EACH = 80, 1.5
CAMERA_FPS = 30  # of a film of concatenated JPEGs, in Chromium
THRESHOLD = 0.3  # below it the page says that it is not sure, and lists what it is nearest to all the same
NETWORKS = {
    "width 0.35": (0.35, "mobilenet_v2_0.35_224_no_top.weights.h5"),
    "width 1.0": (1.0, "mobilenet_v2_1.0_224_no_top_from_int8ptq.weights.h5"),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed on this machine"),
    needs_npm,
]


@dataclass(frozen=True)
class Filmed:
    """A bundle, and held-out photographs whose largest probability in Keras is the right class's, as a film."""

    name: str
    bundle: Bundle
    film: Path
    truths: list[str]
    sure: list[bool]
    looks: npt.NDArray[np.uint8]


def look(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Give what a picture is recognised by: 16 × 16 pixels of it."""
    return np.asarray(cv2.resize(pixels, (16, 16), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="module", params=NETWORKS)
def filmed(
    request: pytest.FixtureRequest, assets: Path, page_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Filmed:
    folder = tmp_path_factory.mktemp("photographs")
    manifest = build_manifest(ImageFolder(assets / "data" / "yoga62", name="yoga62"), Split(), folder / "store")
    model = probe(manifest, assets, request.param)
    write_saved_model(model, folder / "served")
    target = target_named("tflite_float16")
    megabytes = target.write(Served(folder / "served", "probe", SIZE), folder / "bundle" / target.path())
    add_page(folder / "bundle", page_store)
    artifact = Artifact(target.name, target.format, target.path(), SIZE, megabytes, fit=True)
    classes = tuple(manifest.classes)
    thresholds, made = (THRESHOLD,) * len(classes), "2026-01-02T00:00:00+00:00"
    bundle = Bundle(
        folder / "bundle", "yoga62", 1, "ab" * 32, classes, {}, thresholds, SIZE, "stretch", (artifact,), made
    )
    seal_bundle(bundle)
    rows = np.random.default_rng(0).permutation(manifest.test)
    probabilities = np.concatenate([model(batch, training=False) for batch in squares(manifest, rows)])
    labels = manifest.labels[rows]
    right = np.flatnonzero(probabilities.argmax(axis=1) == labels)[:FILMED]
    chosen = rows[right]
    frames, looks = [], []
    for path in manifest.files(chosen):
        pixels = cv2.resize(read_image(path), (640, 480), interpolation=cv2.INTER_LINEAR)
        frames.append(cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
        looks.append(look(np.asarray(pixels, np.uint8)))
    film = folder / "film.mjpeg"
    film.write_bytes(b"".join(frame * round(SECONDS_EACH * CAMERA_FPS) for frame in frames))
    names = [" ".join(classes[label].replace("_", " ").split()) for label in manifest.labels[chosen]]
    sure = (probabilities[right].max(axis=1) >= THRESHOLD).tolist()
    return Filmed(request.param, bundle, film, names, sure, np.array(looks))


def squares(manifest: Any, rows: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.float32]]:
    for batch in ImageReader(manifest.files(rows), SIZE, "stretch", batch_size=64):
        yield batch.astype(np.float32)


def probe(manifest: Any, assets: Path, name: str) -> Any:
    """Fit a linear classifier on a MobileNetV2's features of the training photographs."""
    import keras
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    alpha, file = NETWORKS[name]
    application = Application(
        "MobileNetV2", size=SIZE, alpha=alpha, weights=str(assets / "weights" / file), batch_norm_folded=alpha == 1.0
    )
    backbone = application.build()
    features = np.concatenate([backbone(batch, training=False) for batch in squares(manifest, manifest.train)])
    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(features, manifest.labels[manifest.train])
    dense = keras.layers.Dense(len(manifest.classes), activation="softmax")
    model = keras.Model(backbone.inputs[0], dense(backbone.outputs[0]), name="probe")
    dense.set_weights([fitted.coef_.T, fitted.intercept_])
    return model


RECORD = """() => {
  window.seen = [];
  const small = new OffscreenCanvas(16, 16).getContext("2d", { willReadFrequently: true });
  const video = document.getElementById("video");
  const at = (id) => document.getElementById(id);
  setInterval(() => {
    small.drawImage(video, 0, 0, 16, 16);
    const { data } = small.getImageData(0, 0, 16, 16);
    const named = at("answer").dataset.state === "named" ? at("label").textContent : null;
    const first = document.querySelector("#bars .bar-name")?.textContent;
    window.seen.push([performance.now(), Array.from(data), named, first, at("fps").textContent]);
  }, 100);
}"""


def test_the_page_names_the_poses_of_a_webcam_as_keras_does(filmed: Filmed) -> None:
    from playwright.sync_api import sync_playwright

    camera = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={filmed.film}",
    ]
    with sync_playwright() as playwright, bundle_site(filmed.bundle, 0) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*browser_flags(), *camera])
        with visiting(browser, site.address) as visit:
            visit.page.locator("#camera").click()
            visit.page.locator("#answer:not([data-state=waiting])").wait_for()
            visit.page.evaluate(RECORD)
            visit.page.wait_for_timeout(1000 * (FILMED + 2) * SECONDS_EACH)
            seen = visit.page.evaluate("() => window.seen")
            visit.check()
        browser.close()
        site.shutdown()
    found = answers(seen, filmed)
    # A photograph or two may be cut by the film's ends.
    assert len(found) >= FILMED - 3
    first = [top == filmed.truths[each] for each, (_, top) in found.items()]
    named = [label == filmed.truths[each] for each, (label, _) in found.items() if filmed.sure[each]]
    print(
        f"MobileNetV2 of {filmed.name}: first of the list for {sum(first)} of {len(first)} photographs that Keras gets "
        f"right, named for {sum(named)} of the {len(named)} that it is sure of; {np.median(rates(seen)):.1f} answers a "
        f"second before a camera of {CAMERA_FPS} FPS"
    )
    assert np.mean(first) >= 0.95
    assert np.mean(named) >= 0.95


def rates(seen: list[Any]) -> list[float]:
    return [float(fps) for *_, fps in seen if fps != "–"]


def answers(seen: list[Any], filmed: Filmed) -> dict[int, tuple[str | None, str]]:
    """Give what stood there at the end of each photograph that was shown for a while."""
    shown = np.array([np.reshape(pixels, (16, 16, 4))[..., :3] for _, pixels, *_ in seen]).astype(int)
    which = np.array([np.abs(filmed.looks.astype(int) - each).mean(axis=(1, 2, 3)).argmin() for each in shown])
    ends = [*np.flatnonzero(np.diff(which)), len(which) - 1]
    found: dict[int, tuple[str | None, str]] = {}
    for start, end in zip([0, *(np.array(ends[:-1]) + 1)], ends, strict=True):
        if seen[end][0] - seen[start][0] > 700:
            found[int(which[end])] = (seen[end][2], seen[end][3])
    return found
