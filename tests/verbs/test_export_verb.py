"""`wellai-exp export` over a real store: a registered model of drawn images, from its name to a sealed bundle."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tracking_stores import tracking_in

from wellai_exp.cli import main
from wellai_exp.data import ImageFolder, ImageReader, Split, build_manifest, keep_manifest
from wellai_exp.export import read_bundle
from wellai_exp.promotion import keep_predictions
from wellai_exp.tracking import Registry, Tracker
from wellai_exp.verbs._evaluated import evaluation_of

COLOURS = {"나무": (200, 40, 40), "boat [Navasana]": (40, 190, 60), "plank's": (50, 60, 200)}
NAMES = tuple(sorted(COLOURS))
SIZE = 32


def draw(folder: Path) -> None:
    """Draw images whose class is their mean colour."""
    draws = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(20):
            noisy = np.array(colour) + draws.normal(0, 50, (40, 40, 3)) + draws.normal(0, 12, 3)
            encoded = cv2.imencode(".png", noisy.clip(0, 255).astype(np.uint8)[:, :, ::-1])[1]
            (folder / name / f"{number}.png").write_bytes(encoded.tobytes())


def classifier() -> Any:
    """Make a network that knows the colours."""
    import keras

    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = keras.layers.Conv2D(3, 1, use_bias=False)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x), name="colours")
    colours = np.array([COLOURS[name] for name in NAMES]) / 255
    kernel, weights, bias = model.weights
    kernel.assign(np.eye(3)[None, None])
    weights.assign(20 * colours.T)
    bias.assign(-10 * (colours**2).sum(axis=1))
    return model


class Place:
    """A folder with a registered model, where `export` is typed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "mlruns"
        draw(folder / "photos")
        self.tracker = Tracker(tracking_in(self.store, "colours"))
        manifest = build_manifest(
            ImageFolder(root=folder / "photos", name="colours"), Split(folds=2, test=0.5), self.store
        )
        levels = manifest.frame.assign(level_1=[int(label != NAMES[0]) for label in manifest.frame["label"]])
        self.manifest = keep_manifest(replace(manifest, frame=levels), self.store)
        model = classifier()
        facts = {"data_digest": self.manifest.digest, "data": "colours", "resize": "stretch", "part": "test"}
        facts["settings"] = {"backbone": "SmallConvNet", "backbone.size": SIZE}  # type: ignore[assignment]
        with self.tracker.run("made") as run:
            uri = self.tracker.log_model(run, model, class_names=NAMES, size=SIZE, metadata=facts)
            pixels = np.concatenate(list(ImageReader(self.test_files, SIZE, "stretch")))
            evaluation = evaluation_of(self.manifest, np.asarray(model(pixels.astype(np.float32))))
            keep_predictions(run, evaluation, "test")
        self.run_id = run.id
        Registry(self.tracker.tracking).register(uri, "colours")

    @property
    def test_files(self) -> list[Path]:
        return self.manifest.files(self.manifest.test)

    def export(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
        monkeypatch.chdir(self.folder)
        monkeypatch.setattr(sys, "argv", ["wellai-exp", "export", *arguments, "parity.resamples=100"])
        main()

    def tags(self) -> dict[str, str]:
        return dict(Registry(self.tracker.tracking).describe("colours").versions[0].tags)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    yield Place(tmp_path_factory.mktemp("place"))


def test_a_bundle_has_all_that_is_needed_and_is_attached(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.export(
        monkeypatch, "models:/colours@challenger", "targets=[saved_model,tflite_float32,tflite_int8]", "sizes=[32,40]"
    )
    said = capsys.readouterr().out
    bundle = read_bundle(place.store / "bundles" / "colours-1")
    kinds = ["saved_model", "tflite_float32", "tflite_int8"]
    assert [each.name for each in bundle.artifacts] == [*kinds, *(f"{kind}@40" for kind in kinds)]
    assert [each.problem for each in bundle.artifacts if not each.fit] == []
    assert {each.size for each in bundle.artifacts if each.name.endswith("@40")} == {40}
    assert (bundle.title, bundle.class_names, bundle.missing) == ("colours/1", NAMES, {})
    assert bundle.parents == {"level_1": ("0", "1", "1")}
    assert all(value is not None and 0 < value < 1 for value in bundle.thresholds)
    assert f"on the {len(place.test_files)} test images whose predictions the run {place.run_id} keeps" in (
        bundle.thresholds_from
    )
    tags = place.tags()
    largest = max(
        found["largest"]
        for name in ("saved_model", "tflite_float32", "saved_model@40", "tflite_float32@40")
        for found in bundle.artifact(name).parity.values()
    )
    assert float(tags["export/parity"]) == pytest.approx(largest, rel=1e-3)
    assert (tags["export/unfit"], len(tags["export/bundle_sha256"])) == ("", 64)
    attached = place.tracker.fetch(place.run_id, "export/SHA256SUMS").parent
    assert read_bundle(attached).document() == bundle.document()
    card = (bundle.folder / "card.html").read_text(encoding="utf-8")
    assert "Exported forms" in card
    assert "such a network is trained from nothing" in card
    for words in ("tflite_int8@40", "litert: fit", "wellai-exp serve", "export_parity"):
        assert words in said
    assert (bundle.folder / "slimming.png").stat().st_size > 1000
    labels = json.loads((bundle.folder / "labels.json").read_text(encoding="utf-8"))
    assert labels["class_names"] == list(NAMES)


def test_an_unfit_artifact_is_seen_by_the_gate(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # No rounding at all is let pass, so that the smallest difference makes it unfit.
    place.export(monkeypatch, "colours/1", "targets=[tflite_float32]", "parity.largest_float32=0", "out=strict")
    bundle = read_bundle(place.folder / "strict")
    artifact = bundle.artifact("tflite_float32")
    assert artifact.parity["litert"]["largest"] > 0
    assert artifact.fit is False
    assert place.tags()["export/unfit"] == "tflite_float32"
    assert "unfit" in capsys.readouterr().out


def test_a_file_without_its_data_is_exported_unchecked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = Registry(place.tracker.tracking).resolve("colours/1")
    place.export(monkeypatch, str(ref.path), "targets=[tflite_float32,tflite_int8]", "out=file", "paths.store=empty")
    bundle = read_bundle(place.folder / "file")
    (artifact,) = bundle.artifacts
    assert artifact.fit is None
    assert artifact.problem.startswith("It was not checked: manifests=")
    assert "no training images are at hand" in bundle.missing["tflite_int8"]
    assert bundle.thresholds == (None,) * 3


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("targets=[coreml]", "targets=coreml: there is no such target; choose among saved_model, tflite_float32"),
        ("parity.images=0", "parity.images=0: it must be a whole number, at least 1; set parity.images=200"),
        ("sizes=[big]", "sizes=big: it must be a whole number; set sizes=[160,224]"),
        ("precision=0", "precision=0: it must be above 0 and at most 1; set precision=0.9"),
        ("target.tflite_int8.weights=int4", "target.tflite.weights=int4: there are no such weights"),
        ("out=photos", "out=photos: something lies there that is no bundle; set out to a new folder"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    argument: str, said: str, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        place.export(monkeypatch, "colours/1", argument)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")
