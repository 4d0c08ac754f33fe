"""How fast and how large: what is measured, what is remembered, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from wellai_exp.benchmark import Latency, LatencyBook, measure
from wellai_exp.benchmark._machine import machine
from wellai_exp.cli import main
from wellai_exp.config import build, register_plugins
from wellai_exp.errors import SettingError, TrialFailed
from wellai_exp.export import Keras, LiteRT, Opened, Runtime
from wellai_exp.models import Application, Fusion, SmallConvNet
from wellai_exp.paths import sealed, shipped_dir
from wellai_exp.runtime import cores
from wellai_exp.verbs._costs import costs

SMALL = SmallConvNet(size=32, width=4, pooling="avg")
BACKBONES = {
    "small_conv": SmallConvNet(size=32, width=8),
    "mobilenet": Application("MobileNet", size=32, weights=None, alpha=0.25),
    "fusion": Fusion((SMALL, SmallConvNet(size=48, width=4))),
}
# Every thread that TensorFlow has in this process, whatever the machine.
RUNTIMES = {"keras": Keras(threads=None), "litert": LiteRT(threads=1)}
QUICK = {"frames": 3, "warm_up": 1, "seconds": 0.0}


@dataclass(frozen=True)
class Eager(Runtime):
    """Keras without a trace: nothing to convert, so that what is said about books and timing costs little."""

    name: ClassVar[str] = "eager"
    calls: ClassVar[list[str]] = []

    def _open(self, path: Path, size: int) -> Opened:
        raise AssertionError("nothing is written that could be opened")

    def _converted(self, model: Any, folder: Path) -> tuple[Opened, float]:
        def classify(frame: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
            self.calls.append(model.name)
            return np.asarray(model(frame, training=False))

        return Opened(model.input_shape[1], classify), 1.0


def quick_book(folder: Path) -> LatencyBook:
    return LatencyBook(folder, frames=3, warm_up=0, seconds=0.0)


def only_file(folder: Path) -> Path:
    (file,) = folder.glob("*.json")
    return file


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_figures_are_positive_and_agree(backbone: str, runtime: str) -> None:
    model = BACKBONES[backbone].build()
    found = measure(model, RUNTIMES[runtime], **QUICK)  # type: ignore[arg-type]
    assert 0 < found.latency_ms <= found.p95_ms
    assert found.fps * found.latency_ms == pytest.approx(1000)
    assert (found.runtime, found.threads, found.machine) == (runtime, RUNTIMES[runtime].n_threads, machine())
    # Either file holds float32 weights and some description of the graph.
    weights_mb = 4e-6 * model.count_params()
    assert weights_mb * 0.9 < found.size_mb < weights_mb + 0.5


def test_at_least_so_many_frames_and_so_many_seconds_are_timed() -> None:
    model, parity = SMALL.build(), 3
    Eager.calls.clear()
    measure(model, Eager(), frames=7, warm_up=4, seconds=0.0)
    assert len(Eager.calls) == parity + 4 + 7
    Eager.calls.clear()
    began = time.perf_counter()
    measure(model, Eager(), frames=1, warm_up=0, seconds=0.2)
    assert time.perf_counter() - began >= 0.2
    assert len(Eager.calls) > parity + 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_that_is_another_once_converted_is_refused(runtime: str) -> None:
    import keras
    import tensorflow as tf

    class OtherWhenTraced(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x if tf.executing_eagerly() else 1.01 * x

    image = keras.Input((32, 32, 3), name="image")
    features = keras.layers.GlobalAveragePooling2D()(image)
    with pytest.raises(TrialFailed, match=f"in {runtime} trap differs from Keras by"):
        RUNTIMES[runtime].load(keras.Model(image, OtherWhenTraced()(features), name="trap"))


def test_a_network_that_cannot_be_converted_is_refused() -> None:
    import keras

    image = keras.Input((32, 32, 3), name="image")
    features = keras.ops.erfinv(keras.layers.GlobalAveragePooling2D()(image) / 256)
    with pytest.raises(TrialFailed, match="strange cannot be written as tflite_float32"):
        LiteRT().load(keras.Model(image, features, name="strange"))


def test_a_book_remembers_what_another_wrote(tmp_path: Path) -> None:
    first = quick_book(tmp_path).of(SMALL, 5, Eager())
    written = only_file(tmp_path).stat().st_mtime_ns
    Eager.calls.clear()
    assert quick_book(tmp_path).of(replace(SMALL), 5, Eager()) == first
    assert not Eager.calls
    assert only_file(tmp_path).stat().st_mtime_ns == written
    assert asdict(first) == json.loads(only_file(tmp_path).read_text())["latency"]


def test_a_model_is_remembered_by_its_file_and_not_loaded_again(tmp_path: Path) -> None:
    book, loads = quick_book(tmp_path), []

    def load() -> Any:
        import keras

        loads.append(1)
        return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])

    first = book.of_model("a" * 64, load, Eager())
    assert quick_book(tmp_path).of_model("a" * 64, load, Eager()) == first
    assert len(loads) == 1
    book.of_model("b" * 64, load, Eager())
    book.of_model("a" * 64, load, Eager(threads=2))
    assert len(loads) == 3


def test_whatever_changes_the_work_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = quick_book(tmp_path)
    asked: list[tuple[Any, int, Runtime]] = [
        (SMALL, 5, Eager()),
        (SMALL.at_size(40), 5, Eager()),
        (SmallConvNet(size=32, width=5), 5, Eager()),
        (SMALL, 6, Eager()),
        (BACKBONES["fusion"], 5, Eager()),
        (SMALL, 5, RUNTIMES["keras"]),
    ]
    for count, (backbone, n_classes, runtime) in enumerate(asked, start=1):
        book.of(backbone, n_classes, runtime)
        assert len(list(tmp_path.glob("*.json"))) == count
    monkeypatch.setattr("wellai_exp.benchmark._latency.machine", lambda: "another machine")
    assert book.of(SMALL, 5, Eager()).machine == "another machine"
    assert len(list(tmp_path.glob("*.json"))) == len(asked) + 1


def test_the_values_of_the_weights_are_no_part_of_it(tmp_path: Path) -> None:
    book, plain = quick_book(tmp_path / "book"), BACKBONES["mobilenet"]
    assert isinstance(plain, Application)
    first = book.of(plain, 5, Eager())
    assert book.of(replace(plain, weights=tmp_path / "absent.weights.h5"), 5, Eager()) == first


DAMAGED: dict[str, str | dict[str, object]] = {
    "empty": "",
    "another number": {"latency_ms": 1e-3},
    "torn": '{"key": {}, "latency": {"latency_ms": 1',
    "a list": "[]",
    "nothing in it": "{}",
    "a setting too few": '{"latency": {"latency_ms": 1.0}}',
    "negative": {"latency_ms": -1.0},
    "not a number": {"p95_ms": float("nan")},
    "text": {"size_mb": "1"},
    "out of order": {"latency_ms": 2.0, "p95_ms": 1.0},
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_measured_again(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    book, content = quick_book(tmp_path), DAMAGED[damage]
    book.of(SMALL, 5, Eager())
    path = only_file(tmp_path)
    whole = json.loads(path.read_text())
    if isinstance(content, dict):
        changed = {**whole, "latency": {**whole["latency"], **content}}
        del changed["seal"]
        # All but the first are wrong though they are sealed as they are.
        content = json.dumps({**changed, "seal": whole["seal"]} if damage == "another number" else sealed(changed))
    path.write_text(content)
    again = book.of(SMALL, 5, Eager())
    assert f"{path} is damaged" in caplog.text
    assert json.loads(path.read_text()) == sealed({"key": whole["key"], "latency": asdict(again)})


def test_the_latency_of_something_else_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    book = quick_book(tmp_path)
    book.of(SMALL, 5, Eager())
    other = only_file(tmp_path)
    book.of(SMALL, 6, Eager())
    (mine,) = set(tmp_path.glob("*.json")) - {other}
    other.write_bytes(mine.read_bytes())
    book.of(SMALL, 5, Eager())
    assert "it is of something else" in caplog.text
    assert other.read_bytes() != mine.read_bytes()


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "two"])
def test_a_number_of_threads_that_is_none_is_refused(threads: Any) -> None:
    for runtime in (Keras, LiteRT):
        with pytest.raises(SettingError, match=rf"^runtime\.threads={threads}: .*set runtime\.threads=1\.$"):
            runtime(threads=threads)


def test_more_threads_than_cores_are_refused() -> None:
    for runtime in (Keras, LiteRT):
        with pytest.raises(SettingError, match=rf"this process may use {cores()} cores"):
            runtime(threads=cores() + 1).prepare()


@pytest.mark.skipif(cores() == 1, reason="a machine with one core has no other number of threads")
def test_threads_that_a_running_tensorflow_does_not_have_are_refused() -> None:
    with pytest.raises(SettingError, match=r"runtime\.threads=1: TensorFlow runs in this process with"):
        Keras(threads=1).load(SMALL.build())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("frames", 0),
        ("frames", 2.5),
        ("warm_up", -1),
        ("seconds", -0.1),
        ("seconds", float("nan")),
        ("seconds", "long"),
    ],
)
def test_an_effort_that_is_none_is_refused(setting: str, value: Any, tmp_path: Path) -> None:
    effort: dict[str, Any] = {**QUICK, setting: value}
    with pytest.raises(SettingError, match=rf"^{setting}={value}: .*set {setting}="):
        LatencyBook(tmp_path, **effort)
    with pytest.raises(SettingError, match=rf"^{setting}={value}: "):
        measure(None, Eager(), **effort)


@pytest.mark.parametrize("n_classes", [1, 2.0, True])
def test_a_classifier_of_fewer_than_two_classes_is_refused(n_classes: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=rf"^n_classes={n_classes}: "):
        quick_book(tmp_path).of(SMALL, n_classes, Eager())


def test_a_latency_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="size_mb is 0"):
        Latency(1.0, 2.0, 0, "keras", 1, "here")


@pytest.fixture
def hydra() -> Iterator[None]:
    register_plugins()
    OmegaConf.register_new_resolver("wellai.pid", lambda: 1, replace=True)
    with initialize_config_dir(str(shipped_dir("conf")), version_base="1.3"):
        yield


@pytest.mark.usefixtures("hydra")
@pytest.mark.parametrize("option", sorted(file.stem for file in (shipped_dir("conf") / "runtime").glob("*.yaml")))
def test_an_option_composes_and_makes_its_runtime(option: str) -> None:
    assert build(compose("benchmark", overrides=[f"runtime={option}"]), "runtime").name == option


@pytest.mark.usefixtures("hydra")
@pytest.mark.parametrize("option", ["saved_model", "onnxruntime"])
def test_a_sweeps_constraint_on_fps_may_name_any_runtime(option: str, tmp_path: Path) -> None:
    cfg = compose("sweep", overrides=[f"runtime={option}", "runtime.threads=null"])
    bench: Any = SimpleNamespace(store=tmp_path, shared=SimpleNamespace(n_classes=5))
    choices: Any = SimpleNamespace(backbone=SMALL)
    found = costs(bench, cfg, choices, ["fps"])
    kept = json.loads(only_file(tmp_path / "benchmarks").read_text())
    assert kept["latency"]["runtime"] == option
    assert found["fps"] == pytest.approx(1000 / kept["latency"]["latency_ms"])
    assert found["size_mb"] > 4e-6 * SMALL.build().count_params()
    # Remembered, so a second trial of the same backbone is not measured again.
    assert costs(bench, cfg, choices, ["fps"]) == found


def test_the_verb_measures_options_at_sizes_and_keeps_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["backbones=[small_conv]", "sizes=[32,40]", "backbone.width=4", "frames=2", "seconds=0"]
    command = ["wellai-exp", "benchmark", "runtime=litert", *asked]
    monkeypatch.setattr(sys, "argv", command)
    main()
    shown = capsys.readouterr().out
    kept = [json.loads(file.read_text()) for file in (tmp_path / "mlruns" / "benchmarks").glob("*.json")]
    assert sorted(entry["key"]["size"] for entry in kept) == [32, 40]
    assert shown.count("small_conv") == 2
    for entry in kept:
        assert f"{entry['latency']['latency_ms']:.2f}" in shown
    monkeypatch.setattr(sys, "argv", command)
    main()
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("what=nothing", "what=nothing: there is no such benchmark; choose one of latency"),
        ("backbones=[small_con]", "backbone=small_con: there is no such option; choose one of"),
        ("sizes=[8]", "backbone.size=8: this backbone takes square images of 32 to 1024 px"),
        ("sizes=large", "sizes=large: it must be a whole number"),
        ("n_classes=many", "n_classes=many: it must be a whole number"),
        ("runtime=onnx", "runtime=onnx: there is no such option; choose one of keras, litert, litert_js, "),
    ],
)
def test_the_verb_refuses_in_one_sentence(
    argument: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["wellai-exp", "benchmark", argument])
    with pytest.raises(SystemExit):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")


@pytest.mark.slow
def test_a_process_that_prepares_for_one_thread_computes_in_one() -> None:
    code = """
import psutil
from wellai_exp.export import Keras
from wellai_exp.models import Application
from wellai_exp.runtime import prepare_tensorflow
runtime = Keras(threads=1)
runtime.prepare()
prepare_tensorflow()
import numpy as np
loaded = runtime.load(Application("MobileNetV2", size=224, weights=None).build())
frame = np.zeros((1, 224, 224, 3), np.float32)
def spent():
    return {thread.id: thread.user_time for thread in psutil.Process().threads()}
before = spent()
for _ in range(40):
    loaded.classify(frame)
gained = sorted(seconds - before.get(thread, 0.0) for thread, seconds in spent().items())
print(gained[-2] / gained[-1])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 0.2


@pytest.mark.slow
def test_a_fusion_of_real_weights_runs_in_either_runtime(assets: Path, tmp_path: Path) -> None:
    files = {
        "MobileNet": ("mobilenet_v1_0.75_224_no_top.weights.h5", 0.75),
        "MobileNetV2": ("mobilenet_v2_0.35_224_no_top.weights.h5", 0.35),
    }
    members = [
        Application(name, size=96, weights=assets / "weights" / file, alpha=alpha)
        for name, (file, alpha) in files.items()
    ]
    found = [quick_book(tmp_path).of(Fusion(tuple(members)), 62, runtime) for runtime in RUNTIMES.values()]
    # 1.83 and 0.41 million float32 weights of the backbones, 0.13 million of the classifier, and the graph.
    assert all(9.0 < each.size_mb < 11.0 for each in found)
