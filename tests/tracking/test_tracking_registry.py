from __future__ import annotations

import json
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracking_stores import tracking_in

from wellai_exp import milestones
from wellai_exp.errors import SettingError, StoreError, WellaiError
from wellai_exp.tracking import Judgement, Promotion, Registry, Tracker, load
from wellai_exp.tracking._promotion import standing

CLASSES = ["Child's pose", "Plank (low)", "Ω"]
WHO: Any = {"who": "ada", "reason": "it scores better"}


@pytest.fixture(scope="module")
def model() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.chdir(tmp_path)
    return Tracker(tracking_in(tmp_path / "store"))


@pytest.fixture
def registry(tracker: Tracker) -> Registry:
    return Registry(tracker.tracking)


def _log(tracker: Tracker, model: Any) -> tuple[str, str]:
    with tracker.run("train") as run:
        uri = tracker.log_model(run, model, class_names=CLASSES, size=16, metadata={"view": "square"})
    return run.id, uri


def _versions(tracker: Tracker, registry: Registry, model: Any, count: int) -> str:
    run_id, uri = _log(tracker, model)
    assert [registry.register(uri, "demo") for _ in range(count)] == list(range(1, count + 1))
    return run_id


def test_a_registration_that_was_stopped_is_taken_up_and_not_made_twice(
    tracker: Tracker, registry: Registry, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, uri = _log(tracker, model)
    tags = {"wellai.reproduce": "wellai-exp train imbalance=smote"}

    def stop(place: str) -> None:
        if place == milestones.REGISTERING:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(milestones, "passed", stop)
        registry.register(uri, "demo", run_id=run_id, tags=tags)
    assert registry.describe("demo").aliases == {}
    _, again = _log(tracker, model)
    assert registry.register(again, "demo", run_id=run_id, tags=tags) == 1
    assert registry.describe("demo").aliases == {"challenger": 1}
    # The same run with another winner, and another run with the same, each make a version.
    assert registry.register(again, "demo", run_id=run_id, tags={"wellai.reproduce": "wellai-exp train"}) == 2
    assert registry.register(again, "demo", tags=tags) == 3


def test_a_model_comes_back_the_same_and_untrained(tracker: Tracker, registry: Registry, model: Any) -> None:
    begun = time.monotonic()
    run_id, uri = _log(tracker, model)
    assert time.monotonic() - begun < 5
    ref = registry.resolve(uri)
    assert (ref.class_names, ref.size, ref.metadata, ref.run_id) == (tuple(CLASSES), 16, {"view": "square"}, run_id)
    images = np.random.default_rng(1).random((4, 16, 16, 3)).astype("float32")
    loaded = load(ref)
    np.testing.assert_allclose(loaded(images, training=False), model(images, training=False), rtol=1e-6)
    assert not loaded.compiled
    assert model.compiled
    with zipfile.ZipFile(ref.path) as archive:
        archive.extract("model.weights.h5", ref.path.parent.parent / "weights")
    import h5py

    with h5py.File(ref.path.parent.parent / "weights" / "model.weights.h5") as weights:
        assert "optimizer" not in weights


def test_the_signature_and_requirements_are_mlflows(tracker: Tracker, registry: Registry, model: Any) -> None:
    from mlflow.models import Model

    ref = registry.resolve(_log(tracker, model)[1])
    folder = ref.path.parent.parent
    card = Model.load(str(folder))
    assert card.signature is not None
    assert card.signature.inputs.inputs[0].shape == (-1, 16, 16, 3)
    assert card.signature.outputs.inputs[0].shape == (-1, 3)
    assert card.metadata is not None
    assert card.metadata["sha256"] == ref.sha256
    assert json.loads((folder / "labels.json").read_text())["class_names"] == CLASSES
    required = (folder / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in required if not line.startswith("mlflow")] == [
        "tensorflow",
        "keras",
        "numpy",
    ]


@pytest.mark.parametrize("wrong", [{"size": 32}, {"class_names": ["a", "b"]}])
def test_a_model_that_does_not_fit_its_labels_is_refused(tracker: Tracker, model: Any, wrong: dict[str, Any]) -> None:
    with tracker.run("train") as run, pytest.raises(WellaiError, match="must take"):
        tracker.log_model(run, model, **{"class_names": CLASSES, "size": 16, **wrong})


def test_every_way_to_name_a_model(tracker: Tracker, registry: Registry, model: Any) -> None:
    run_id = _versions(tracker, registry, model, 2)
    registry.promote("demo", 1, **WHO)
    found = {
        text: registry.resolve(text).version
        for text in ("demo", "models:/demo@champion", "demo@challenger", "demo/2", "models:/demo/1", run_id)
    }
    assert list(found.values()) == [1, 1, 2, 2, 1, None]
    path = registry.resolve("demo").path
    assert registry.resolve(str(path)).class_names == tuple(CLASSES)
    assert registry.resolve(str(path)).sha256 == registry.resolve(run_id).sha256


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nobody", "No registered model is called 'nobody': there are demo"),
        ("demo", "demo has no alias @champion: its aliases are @challenger .version 1., its versions 1"),
        ("demo@winner", "has no alias @winner"),
        ("demo/7", "demo has no version 7: its versions are 1"),
        ("demo/x", "names no version"),
        ("0" * 32, "not found"),
        ("models:/m-" + "0" * 32, "not found"),
        ("nowhere/model.keras", r"model\.keras is missing"),
    ],
)
def test_what_does_not_exist_is_told_with_what_does(
    tracker: Tracker, registry: Registry, model: Any, text: str, sentence: str
) -> None:
    _versions(tracker, registry, model, 1)
    with pytest.raises(WellaiError, match=sentence):
        registry.resolve(text)


def test_an_empty_registry_says_so(registry: Registry) -> None:
    with pytest.raises(WellaiError, match="none is registered yet"):
        registry.describe("demo")


@pytest.mark.parametrize("name", ["a/b", "a:b", "a@b", "", " a", "..", "x.keras"])
def test_a_name_that_cannot_be_registered_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises(SettingError, match=r"tracking\.registered_name"):
        registry.register("models:/m-" + "0" * 32, name)


@pytest.mark.parametrize("changed", ["data/model.keras", "labels.json"])
def test_a_changed_file_is_never_loaded(tracker: Tracker, registry: Registry, model: Any, changed: str) -> None:
    _versions(tracker, registry, model, 1)
    ref = registry.resolve("demo/1")
    file = ref.path.parent.parent / changed
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    for text in ("demo/1", "demo@challenger", ref.run_id or "", f"models:/{ref.path.parent.parent.parent.name}"):
        with pytest.raises(StoreError, match="was changed after it was kept"):
            registry.resolve(text)
    if changed.endswith(".keras"):
        with pytest.raises(StoreError, match="was changed"):
            load(ref)


def test_code_in_a_model_is_not_run(tracker: Tracker, registry: Registry) -> None:
    import keras

    risky = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Lambda(lambda images: images * 2.0),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    _, uri = _log(tracker, risky)
    with pytest.raises(WellaiError, match="no plain layer of Keras"):
        load(registry.resolve(uri))


def test_promote_and_walk_back(tracker: Tracker, registry: Registry, model: Any) -> None:
    run_id = _versions(tracker, registry, model, 3)
    assert registry.promote("demo", 1, **WHO).previous is None
    assert registry.promote("demo", 2, **WHO).previous == 1
    newest = registry.promote("demo", **WHO)
    assert (newest.version, newest.previous, newest.action) == (3, 2, "promote")
    with pytest.raises(WellaiError, match="champion already"):
        registry.promote("demo", 3, **WHO)

    record = registry.describe("demo")
    assert record.aliases == {"champion": 3, "challenger": 3}
    assert [version.version for version in record.versions] == [3, 2, 1]
    assert record.versions[0].aliases == ("challenger", "champion")
    assert record.versions[0].run_id == run_id
    tags = record.versions[0].tags
    assert (tags["promoted_from"], tags["promoted_by"], tags["promotion_reason"]) == ("2", "ada", "it scores better")
    assert tags["promoted_at"].endswith("+00:00")
    assert record.versions[2].tags["promoted_from"] == "none"

    back = [registry.rollback("demo", who="bob", reason="it fails live").version for _ in range(3)]
    assert back == [2, 1, None]
    with pytest.raises(WellaiError, match="no promotion to champion to roll back"):
        registry.rollback("demo", **WHO)
    record = registry.describe("demo")
    assert record.aliases == {"challenger": 3}
    assert [step.action for step in record.history] == ["promote"] * 3 + ["rollback"] * 3
    assert record.versions[0].tags["rolled_back_by"] == "bob"


def test_a_rollback_knows_moves_by_hand_and_deleted_versions(tracker: Tracker, registry: Registry, model: Any) -> None:
    _versions(tracker, registry, model, 5)
    client = tracker.tracking.client()
    registry.promote("demo", 1, **WHO)
    registry.promote("demo", 2, **WHO)
    client.set_registered_model_alias("demo", "champion", "4")
    assert registry.rollback("demo", **WHO).version == 2
    registry.promote("demo", 3, **WHO)
    client.delete_model_version("demo", "2")
    assert registry.rollback("demo", **WHO).version == 1
    client.set_registered_model_alias("demo", "champion", "4")
    registry.promote("demo", 5, **WHO)
    assert registry.rollback("demo", **WHO).version == 4
    assert registry.rollback("demo", **WHO).version == 1


@pytest.mark.parametrize("missing", ["who", "reason"])
def test_a_promotion_needs_a_name_and_a_reason(registry: Registry, missing: str) -> None:
    with pytest.raises(SettingError) as caught:
        registry.promote("demo", **{**WHO, missing: " "})
    assert caught.value.setting == missing


def test_promotions_at_once_leave_one_champion_and_a_whole_history(
    tracker: Tracker, registry: Registry, model: Any
) -> None:
    _versions(tracker, registry, model, 4)
    failures: list[BaseException] = []

    def promote(version: int) -> None:
        try:
            Registry(tracker.tracking).promote("demo", version, **WHO)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=promote, args=(version,)) for version in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    record = registry.describe("demo")
    assert sorted(step.version or 0 for step in record.history) == [1, 2, 3, 4]
    assert record.aliases["champion"] == record.history[-1].version
    assert [step.previous for step in record.history[1:]] == [step.version for step in record.history[:-1]]


def test_what_was_judged_is_kept_with_the_promotion(tracker: Tracker, registry: Registry, model: Any) -> None:
    run_id = _versions(tracker, registry, model, 2)
    first = Judgement(1, None, {"size": True, "odd": False}, {"verdicts": ["…"]}, forced=True)
    assert registry.promote("demo", judgement=first, **WHO).verdict == "forced"
    tags = registry.describe("demo").versions[1].tags
    assert (tags["gate/size"], tags["gate/odd"], tags["promotion_verdict"]) == ("passed", "failed", "forced")
    kept = json.loads(tracker.fetch(run_id, "promotion/demo/1.json").read_text(encoding="utf-8"))
    assert (kept["model"], kept["version"], kept["previous"], kept["verdict"]) == ("demo", 1, None, "forced")
    assert (kept["by"], kept["reason"], kept["verdicts"]) == ("ada", WHO["reason"], ["…"])
    # Judged anew it loses the verdicts of gates that are not asked any more.
    registry.rollback("demo", **WHO)
    registry.promote("demo", 1, judgement=Judgement(1, None, {"size": True}), **WHO)
    tags = registry.describe("demo").versions[1].tags
    assert [key for key in tags if key.startswith("gate/")] == ["gate/size"]
    assert [step.verdict for step in registry.describe("demo").history] == ["forced", "", "passed"]


@pytest.mark.parametrize(
    ("judgement", "sentence"),
    [
        (
            Judgement(2, None, {"size": True}),
            "While demo/2 was judged, champion changed .it was none and is version 1.",
        ),
        (Judgement(2, 3, {"size": True}), "it was version 3 and is version 1"),
        (Judgement(3, 1, {"size": True}), "demo/3 was judged, not demo/2"),
        (Judgement(2, 1, {"size": True, "odd": False, "bad": False}), "demo/2 is refused by odd, bad"),
    ],
)
def test_a_judgement_that_does_not_hold_changes_nothing(
    tracker: Tracker, registry: Registry, model: Any, judgement: Judgement, sentence: str
) -> None:
    _versions(tracker, registry, model, 3)
    registry.promote("demo", 1, **WHO)
    before = registry.describe("demo")
    with pytest.raises(WellaiError, match=sentence):
        registry.promote("demo", 2, judgement=judgement, **WHO)
    assert registry.describe("demo") == before
    assert not list(tracker.tracking.store.rglob("promotion"))


def test_changed_files_are_neither_promoted_nor_rolled_back_to(
    tracker: Tracker, registry: Registry, model: Any
) -> None:
    for _ in range(2):
        registry.register(_log(tracker, model)[1], "demo")
    registry.promote("demo", 1, **WHO)
    path = registry.resolve("demo/2").path
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(StoreError, match="was changed after it was kept"):
        registry.promote("demo", 2, judgement=Judgement(2, 1, {"odd": False}, forced=True), **WHO)
    path.write_bytes(whole)
    registry.promote("demo", 2, **WHO)
    registry.resolve("demo/1").path.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        registry.rollback("demo", **WHO)
    assert registry.describe("demo").aliases["champion"] == 2


def test_who_would_be_promoted_in_whose_place(tracker: Tracker, registry: Registry, model: Any) -> None:
    _versions(tracker, registry, model, 2)
    assert registry.choose("demo") == (2, None)
    registry.promote("demo", 1, **WHO)
    assert registry.choose("demo") == (2, 1)
    assert registry.choose("demo", 1, "in_the_shop") == (1, None)
    with pytest.raises(WellaiError, match="demo/1 is champion already; nothing was changed"):
        registry.choose("demo", 1)
    with pytest.raises(WellaiError, match="demo has no version 9"):
        registry.choose("demo", 9)


def _step(version: int | None, previous: int | None, action: str) -> Promotion:
    return Promotion("demo", "champion", version, previous, "ada", "x", "2026-01-01", action)


@given(st.lists(st.integers(1, 4), max_size=12), st.lists(st.integers(0, 4), max_size=20))
def test_rollbacks_undo_promotions_in_any_order(first: list[int], then: list[int]) -> None:
    steps: list[Promotion] = []
    expected: list[int] = []
    for version in [*first, *then]:
        holder = expected[-1] if expected else None
        if version == 0 and expected:
            expected.pop()
            steps.append(_step(expected[-1] if expected else None, holder, "rollback"))
        elif version not in {0, holder}:
            expected.append(version)
            steps.append(_step(version, holder, "promote"))
        assert standing(steps, "champion") == expected
    assert standing(steps, "another") == []
