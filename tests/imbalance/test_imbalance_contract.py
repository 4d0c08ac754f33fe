"""What every member of the family keeps, each built from its shipped YAML."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml  # type: ignore[import-untyped,unused-ignore]
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, QuotedString, RangeSweep

import wellai_exp.imbalance as room
from wellai_exp.errors import SettingError, TrialFailed
from wellai_exp.imbalance import FeatureOversampler, IndexResampler, Strategy
from wellai_exp.paths import shipped_dir

FILES = sorted((shipped_dir("conf") / "imbalance").glob("*.yaml"))
COUNTS = np.array([40, 25, 12, 6, 3])
OVERSAMPLERS = ["random_over", "smote", "borderline_smote", "svm_smote", "adasyn", "smote_enn", "smote_tomek"]


def read(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def build(path: Path, **changes: Any) -> Strategy:
    document = read(path)
    arguments = {key: value for key, value in document.items() if not key.startswith("_")}
    strategy = getattr(room, document["_target_"].rsplit(".", 1)[1])(**(arguments | changes))
    assert isinstance(strategy, Strategy)
    return strategy


def of(name: str, **changes: Any) -> Strategy:
    return build(shipped_dir("conf") / "imbalance" / f"{name}.yaml", **changes)


def overlapping(
    counts: npt.NDArray[np.int64] = COUNTS, width: int = 6, seed: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Classes that lie near enough to each other to have borders."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(counts.size), counts)
    centres = 1.5 * rng.normal(size=(counts.size, width))
    order = rng.permutation(labels.size)
    features = (centres[labels] + rng.normal(size=(labels.size, width))).astype(np.float32)
    return features[order], labels[order]


def evenness(labels: npt.NDArray[np.int64], n_classes: int) -> float:
    """Entropy of the class frequencies over its maximum."""
    share = np.bincount(labels, minlength=n_classes) / labels.size
    share = share[share > 0]
    return float(-(share * np.log(share)).sum() / np.log(n_classes))


each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_every_strategy_has_a_yaml() -> None:
    concrete = {
        value
        for name in room.__all__
        if isinstance(value := getattr(room, name), type)
        and issubclass(value, Strategy)
        and value not in {Strategy, FeatureOversampler, IndexResampler}
    }
    assert {type(build(path)) for path in FILES} == concrete
    assert len(FILES) == 17


@each_file
def test_yaml_spells_out_the_constructor(path: Path) -> None:
    document = read(path)
    strategy = build(path)
    assert document["_target_"] == f"wellai_exp.imbalance.{type(strategy).__name__}"
    given = {key: value for key, value in document.items() if not key.startswith("_")}
    assert given == {field.name: field.default for field in dataclasses.fields(strategy)}  # type: ignore[arg-type]
    assert set(document.get("_space_", {})) <= set(given)
    assert strategy == type(strategy)()
    assert strategy.name == path.stem


@each_file
def test_ends_and_choices_of_the_search_space_are_valid(path: Path) -> None:
    parser = OverridesParser.create()
    for parameter, text in read(path).get("_space_", {}).items():
        space = parser.parse_override(f"{parameter}={text}").value()
        if isinstance(space, ChoiceSweep):
            values = space.list
        elif isinstance(space, IntervalSweep):
            values = [space.start, space.end]
        else:
            assert isinstance(space, RangeSweep)
            values = list(space.range())
        assert len(values) > 1
        for value in values:
            build(path, **{parameter: value.text if isinstance(value, QuotedString) else value})


@each_file
def test_is_frozen(path: Path) -> None:
    strategy = build(path)
    for field in dataclasses.fields(strategy):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(strategy, field.name, 1)


@each_file
def test_regimes(path: Path) -> None:
    strategy = build(path)
    strategy.check_regime("probe")
    if isinstance(strategy, FeatureOversampler):
        with pytest.raises(SettingError, match=rf"^imbalance={path.stem}: .*regime=finetune"):
            strategy.check_regime("finetune")
    else:
        strategy.check_regime("finetune")
    with pytest.raises(SettingError, match="regime=nonsense"):
        strategy.check_regime("nonsense")


@each_file
def test_resample_keeps_shape_classes_and_seed(path: Path) -> None:
    features, labels = overlapping()
    before = features.copy(), labels.copy()
    strategy = build(path)
    first, second = (strategy.resample(features, labels, 7, seed=3) for _ in range(2))
    assert first.features.dtype == np.float32
    assert first.labels.dtype == np.int64
    assert first.features.shape == (first.labels.size, features.shape[1])
    assert set(first.labels.tolist()) == set(labels.tolist())
    np.testing.assert_array_equal(first.features, second.features)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(features, before[0])
    np.testing.assert_array_equal(labels, before[1])


@pytest.mark.parametrize("name", [*OVERSAMPLERS, "random_under"])
def test_another_seed_gives_other_rows(name: str) -> None:
    features, labels = overlapping()
    one, two = (of(name).resample(features, labels, 5, seed=seed).features for seed in (1, 2))
    assert one.shape != two.shape or not np.array_equal(one, two)


@pytest.mark.parametrize("name", [*OVERSAMPLERS, "random_under"])
def test_resampling_evens_the_classes(name: str) -> None:
    features, labels = overlapping()
    result = of(name).resample(features, labels, 5, seed=0)
    assert evenness(result.labels, 5) > evenness(labels, 5) + 0.05


@pytest.mark.parametrize("name", OVERSAMPLERS)
@pytest.mark.parametrize("ratio", [0.4, 1.0])
def test_no_class_is_raised_beyond_what_was_asked(name: str, ratio: float) -> None:
    features, labels = overlapping()
    counts = np.bincount(of(name, sampling_ratio=ratio).resample(features, labels, 5, seed=0).labels)
    aim = np.maximum(COUNTS, round(ratio * 40))
    if name in {"random_over", "smote", "svm_smote"}:
        np.testing.assert_array_equal(counts, aim)
    elif name == "adasyn":
        # Each image's share is rounded, which may add half a row for each.
        assert (counts <= aim + COUNTS / 2).all()
    else:
        assert (counts <= aim).all()


@pytest.mark.parametrize("name", [name for name in OVERSAMPLERS if name not in {"smote_enn", "smote_tomek"}])
def test_oversamplers_keep_the_original_rows_first(name: str) -> None:
    features, labels = overlapping()
    result = of(name).resample(features, labels, 5, seed=0)
    np.testing.assert_array_equal(result.features[: labels.size], features)
    np.testing.assert_array_equal(result.labels[: labels.size], labels)


@each_file
def test_one_class_only(path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    result = build(path).resample(features, np.full(9, 2), 4, seed=0)
    np.testing.assert_array_equal(result.features, features)
    assert result.notes == ()


@each_file
def test_resample_refuses_bad_input(path: Path) -> None:
    strategy = build(path)
    features, labels = overlapping()
    with pytest.raises(ValueError, match=r"shape \[N, D\]"):
        strategy.resample(features[0], labels, 5, 0)
    with pytest.raises(ValueError, match="85 rows of features but 86 labels"):
        strategy.resample(features[1:], labels, 5, 0)
    with pytest.raises(ValueError, match="outside 0 to 3"):
        strategy.resample(features, labels, 4, 0)
    with pytest.raises(ValueError, match="integer"):
        strategy.resample(features, labels.astype(float), 5, 0)
    with pytest.raises(ValueError, match="at least one"):
        strategy.resample(features[:0], labels[:0], 5, 0)
    broken = features.copy()
    broken[4, 2] = np.nan
    with pytest.raises(TrialFailed, match="image 4"):
        strategy.resample(broken, labels, 5, 0)


@each_file
def test_weights_plan_and_layer(path: Path) -> None:
    strategy = build(path)
    counts = np.array([40, 0, 12, 6, 1])
    weight = strategy.class_weight(counts)
    assert weight.dtype == np.float32
    assert weight.shape == counts.shape
    assert weight[1] == 0
    assert (weight[counts > 0] > 0).all()
    assert np.isclose((weight * counts).sum() / counts.sum(), 1, rtol=1e-5)
    plan = strategy.batches(counts)
    if plan is not None:
        assert plan.probability.shape == counts.shape
        assert plan.probability[1] == 0
        assert np.isclose(plan.probability.sum(), 1)
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    new_kernel, new_bias = strategy.finalise(kernel, bias, counts)
    assert new_kernel.shape == (7, 5)
    assert new_bias.shape == (5,)
    assert new_kernel.dtype == new_bias.dtype == np.float32
    with pytest.raises(ValueError, match="must be"):
        strategy.finalise(kernel.T, bias, counts)
    with pytest.raises(TrialFailed, match="not finite"):
        strategy.finalise(kernel * np.nan, bias, counts)


@pytest.mark.parametrize("counts", [[], [[1, 2]], [0, 0], [1.5, 2], [-1, 3], [np.nan, 1]])
def test_bad_counts_are_refused(counts: Any) -> None:
    for path in FILES:
        with pytest.raises(ValueError, match="counts"):
            build(path).class_weight(counts)
        with pytest.raises(ValueError, match="counts"):
            build(path).batches(counts)


BAD = [
    ("class_weight", "kind", "even"),
    ("effective_number", "beta", 1.0),
    ("effective_number", "beta", -0.1),
    ("power_weight", "power", -1),
    ("power_weight", "power", "half"),
    ("power_weight", "smoothing", -0.5),
    ("random_under", "sampling_ratio", 0),
    ("borderline_smote", "kind", "borderline-3"),
    ("borderline_smote", "m_neighbors", 0),
    ("svm_smote", "m_neighbors", 2.5),
    ("svm_smote", "out_step", 1.5),
    ("smote_enn", "enn_neighbors", 0),
    ("smote_enn", "kind", "most"),
    ("class_balanced_batches", "power", 1.1),
    ("class_balanced_batches", "batch_size", 0),
    ("focal", "gamma", -1),
    ("focal", "gamma", float("nan")),
    ("focal", "alpha", 2),
    ("logit_adjustment", "tau", -0.1),
    ("logit_adjustment", "tau", float("inf")),
    ("tau_norm", "tau", None),
    *[(name, "sampling_ratio", value) for name in OVERSAMPLERS for value in (0, -1, 1.01, True)],
    *[(name, "k_neighbors", value) for name in OVERSAMPLERS[1:] for value in (0, 1.5, True, "5")],
]


@pytest.mark.parametrize(("name", "parameter", "value"), BAD)
def test_bad_parameters_are_named(name: str, parameter: str, value: object) -> None:
    with pytest.raises(SettingError) as caught:
        of(name, **{parameter: value})
    message = str(caught.value)
    assert message.startswith(f"imbalance.{parameter}={value}: ")
    assert f"; set imbalance.{parameter}=" in message


@each_file
def test_every_parameter_is_checked(path: Path) -> None:
    for field in dataclasses.fields(build(path)):  # type: ignore[arg-type]
        with pytest.raises(SettingError, match=rf"^imbalance\.{field.name}="):
            build(path, **{field.name: "no such value"})


def test_import_loads_nothing_heavy() -> None:
    heavy = "{'tensorflow', 'keras', 'sklearn', 'imblearn', 'scipy', 'pandas'}"
    code = f"import sys, wellai_exp.imbalance; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
