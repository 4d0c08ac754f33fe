"""Model card, evaluation and sweep as sections: all that was measured, and nothing that was not."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plotly.graph_objects import Figure

from wellai_exp.errors import DataError
from wellai_exp.evaluation import Evaluation, seeds_table, worth_table
from wellai_exp.metrics import Interval
from wellai_exp.report import (
    CardFacts,
    Extras,
    Facts,
    Highlights,
    Picture,
    Plot,
    Points,
    Report,
    Section,
    SweepFacts,
    Table,
    Text,
    evaluation_sections,
    metrics_table,
    model_card,
    render,
    seeds_section,
    sweep_sections,
)
from wellai_exp.report._limits import limits
from wellai_exp.report._measures import measure_of

NAMES = ("Upward_Bow_(Wheel)_Pose_or_Urdhva_Dhanurasana_", "나무 자세", "c", "d", "e", "f", "g")
PARENTS = ("bending", "standing", "bending", "standing", "bending", "standing", "bending")


def generated(names: Sequence[str] = NAMES, rows: int = 210, missing: int = 1, **described: Any) -> Evaluation:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, len(names) - missing, rows)
    logits = rng.normal(size=(rows, len(names)))
    logits[np.arange(rows), labels] += 2
    probabilities = np.exp(logits)
    return Evaluation(labels, probabilities / probabilities.sum(axis=1, keepdims=True), tuple(names), **described)


def decided(labels: Sequence[int], predicted: Sequence[int], n_classes: int, **described: Any) -> Evaluation:
    """Predictions that are all as sure as they can be."""
    names = tuple("abcdefgh"[:n_classes])
    return Evaluation(np.array(labels), np.eye(n_classes)[list(predicted)], names, **described)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return generated(train_support=np.array([90, 60, 40, 20, 10, 5, 3]), levels={"family": PARENTS})


@pytest.fixture(scope="module")
def intervals(evaluation: Evaluation) -> dict[str, Interval]:
    return {name: Interval(value, value - 0.02, value + 0.01) for name, value in evaluation.aggregates.items()}


@pytest.fixture(scope="module")
def sections(evaluation: Evaluation, intervals: dict[str, Interval]) -> list[Section]:
    return evaluation_sections(evaluation, intervals)


def texts_of(sections: Sequence[Section]) -> str:
    """All that is said outside of tables and pictures."""
    said = [section.lead for section in sections]
    for block in [block for section in sections for block in section.blocks]:
        if isinstance(block, Text):
            said += block.paragraphs
        elif isinstance(block, Points):
            said += block.items
        elif isinstance(block, Facts):
            said += [f"{fact.term}: {fact.value}" for fact in block.entries]
    return "\n".join(said)


def blocks_of(sections: Sequence[Section], kind: type) -> list[Any]:
    return [block for section in sections for block in section.blocks if isinstance(block, kind)]


def titles(sections: Sequence[Section]) -> list[str]:
    return [section.title for section in sections]


def test_every_aggregate_is_known_and_stands_in_one_table(evaluation: Evaluation, sections: list[Section]) -> None:
    tables = [block for block in sections[titles(sections).index("Scores")].blocks if isinstance(block, Table)]
    listed = [str(name) for table in tables for name in table.frame["Metric"]]
    assert sorted(listed) == sorted(measure_of(name).title for name in evaluation.aggregates)
    assert all(measure_of(name).meaning for name in evaluation.aggregates)
    assert measure_of("something_new") == ("something_new", "", False)


def test_intervals_are_written_and_drawn(intervals: dict[str, Interval]) -> None:
    table = metrics_table(
        {"accuracy": 0.9, "auc_pr_macro": 0.8}, {"accuracy": Interval(0.9, 0.88, 0.91)}, caption="Scores"
    )
    assert [cell.text for cell in table.body[0][:3]] == [
        "Accuracy",
        "0.900",
        "0.880\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}0.910",
    ]
    assert [row[2].text for row in table.body][1] == "–"
    with_line, without = (row[3].drawn for row in table.body)
    assert with_line is not None
    assert with_line.line is not None
    assert without is not None
    assert without.line is None
    bare = metrics_table({"accuracy": 0.9}, caption="Scores", chart=False)
    assert list(bare.frame.columns) == ["Metric", "Value"]


def test_without_intervals_it_is_said_that_there_are_none(evaluation: Evaluation, sections: list[Section]) -> None:
    assert "No intervals were computed" in texts_of(evaluation_sections(evaluation))
    assert "No intervals were computed" not in texts_of(sections)


def test_an_evaluation_is_told_from_its_arrays_alone(evaluation: Evaluation, sections: list[Section]) -> None:
    assert titles(sections) == [
        "In brief", "Scores", "Classes", "Precision and recall", "Confusions", "Calibration",
    ]  # fmt: skip
    classes = next(table for table in blocks_of(sections, Table) if "class" in table.frame.columns)
    assert len(classes.frame) == evaluation.n_classes
    assert not blocks_of(sections, Plot)
    html = render(Report("Yoga", "", sections))
    assert "나무 자세" in html
    assert "1 of them without an image and so not measured" in html


def test_what_extras_hold_is_shown_and_printed_figures_stand_in_for_plots(evaluation: Evaluation) -> None:
    picture = blocks_of(evaluation_sections(evaluation), Picture)[0].image
    extras = Extras(
        pr_explorer=Figure(), confusion_explorer=Figure(), per_class_plot=Figure(), reliability_plot=Figure(),
        temperature=1.4, sheets={"Worst mistakes": picture}, robustness=changed(-0.2),
        robustness_figure=picture, explanations=picture,
    )  # fmt: skip
    sections = evaluation_sections(evaluation, extras=extras)
    assert titles(sections)[-3:] == ["Mistakes in pictures", "Robustness", "Where the model looks"]
    plots = blocks_of(sections, Plot)
    assert len(plots) == 4
    assert all(plot.picture is not None for plot in plots)
    assert "temperature of 1.40" in texts_of(sections)


@pytest.mark.parametrize("names", [("only",), ("a", "b")])
def test_few_classes_make_a_report_too(names: tuple[str, ...]) -> None:
    sections = evaluation_sections(generated(names, rows=30, missing=0))
    assert render(Report("Small", "", sections)).startswith("<!DOCTYPE html>")


def test_a_perfect_model_has_no_confusions_to_list() -> None:
    perfect = decided([0, 1, 2, 0], [0, 1, 2, 0], 3, levels={"family": ("x", "x", "y")})
    confusions = evaluation_sections(perfect)[4]
    assert confusions.lead == "No test image was given to a wrong class."
    assert "leave the parent class" not in "\n".join(limits(perfect))


def test_limits_name_what_the_figures_show() -> None:
    # a: 12 rows, 3 of them taken for c of another parent; b: 11 rows; c: 2 rows, one taken for a; d: none.
    labels = [0] * 12 + [1] * 11 + [2] * 2
    predicted = [0] * 9 + [2] * 3 + [1] * 11 + [2, 0]
    evaluation = decided(
        labels, predicted, 4, train_support=np.array([50, 40, 4, 5]), levels={"family": ("x", "x", "y", "y")}
    )
    said = "\n".join(limits(evaluation))
    assert re.search(r"Weakest classes by AUC-PR: “c” \(0\.\d\d\)", said)
    assert "Measured on fewer than 10 images, so that their own numbers say little: “c” (2)." in said
    assert "Not measured, for want of test images: “d”." in said
    assert (
        "4 of 4 mistakes leave the parent class (family), most often: “a” taken for “c” (3); “c” taken for “a” (1)."
        in said
    )
    assert "mean recall 0.500 in the tail, 0.875 in the head" in said
    assert "mean probability of 1.000, and 0.840 of them are right: it is surer than it is right." in said
    assert "was not measured." in said


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
def test_the_classes_that_limits_call_thin_or_unmeasured_are_those(seed: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(n_classes, 60, p=rng.dirichlet(np.full(n_classes, 0.4))))
    evaluation = decided(labels.tolist(), rng.permutation(labels).tolist(), n_classes)
    said = limits(evaluation)
    for start, rows in (("Measured on fewer than 10", range(1, 10)), ("Not measured, for want", range(1))):
        names = [
            name for name, support in zip(evaluation.class_names, evaluation.support, strict=True) if support in rows
        ]
        sentence = next((each for each in said if each.startswith(start)), "")
        assert bool(sentence) is bool(names)
        assert sorted(re.findall("“(.)”", sentence)) == sorted(names) or len(names) > 5


def changed(delta: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "perturbation": ["clean", "blur", "blur", "mirror"],
            "strength": [0, 1, 2, 1],
            "value": [math.nan, 1.0, 2.0, 1.0],
            "unit": ["", "px", "px", "left to right"],
            "images": [40, 40, 40, 40],
            "accuracy": [0.9, 0.9, 0.9 + delta, 0.9],
            "accuracy_delta": [0.0, 0.0, delta, 0.0],
        },
        index=[7, 7, 3, 1],
    )


def test_robustness_names_the_change_that_costs_most(evaluation: Evaluation) -> None:
    (section,) = evaluation_sections(evaluation, extras=Extras(robustness=changed(-0.25)))[-1:]
    assert section.lead == (
        "Of the changes tried, blur (2 px) costs most: accuracy 0.650, 0.250 below that of clean images."
    )
    assert [row[1].text for row in blocks_of([section], Table)[0].body] == ["–", "1 px", "2 px", "left to right"]
    assert "No change that was tried lowers the accuracy." in limits(evaluation, changed(0.0))
    with pytest.raises(DataError, match="needs the column 'accuracy_delta'"):
        evaluation_sections(evaluation, extras=Extras(robustness=changed(0).drop(columns="accuracy_delta")))


def test_a_card_of_which_only_the_name_is_known_claims_nothing_else() -> None:
    card = model_card(CardFacts(name="yoga"), generated())
    facts = {row.term: row for block in blocks_of(card, Facts) for row in block.entries}
    known = {term for term, row in facts.items() if row.known}
    assert known == {"Name", "What it does", "Intended use", "Out of scope", "Images of a class in the test"}
    assert facts["Intended use"].value == facts["Out of scope"].value == "Not stated by the model's owner."
    said = texts_of(card)
    for sentence in (
        "The configuration is unknown.",
        "The libraries are unknown.",
        "The command that trained this model is unknown.",
        "Which data set the test images come from is unknown",
    ):
        assert sentence in said


def test_a_card_tells_its_facts(evaluation: Evaluation, intervals: dict[str, Interval]) -> None:
    facts = CardFacts(
        name="yoga", version="3", backbone="mobilenet_v2", size=160, parameters=2_300_000, file_mb=9.4,
        latency_ms={"litert": 17.91}, data_name="yoga82", data_digest="abc", data_counts={"train": 1500, "test": 210},
        evaluated_on="yoga82", seed=0, commit="59a7a2b+changes", versions={"keras": "3.15"},
        params={"imbalance": "smote"}, reproduce="wellai-exp train imbalance=smote", intended_use="Hints.",
    )  # fmt: skip
    card = model_card(facts, evaluation, intervals)
    assert titles(card)[:5] == ["In brief", "Model", "Intended use", "Data", "Training"]
    assert titles(card)[-2:] == ["Limits", "How to reproduce"]
    html = render(Report("Card", "", card))
    for text in ("160 × 160 pixels", "2,300,000", "17.9 ms (litert)", "1,500 train, 210 test", "imbalance ratio 30.0"):
        assert text in html
    said = texts_of(card)
    assert "Files differed from that commit" in said
    assert "come from the same data set (yoga82)" in said
    assert "Seed: 0" in said
    elsewhere = model_card(CardFacts(name="yoga", data_name="a", evaluated_on="b"), evaluation)
    assert "It was trained on a and measured on b, and nowhere else." in texts_of(elsewhere)


@pytest.mark.parametrize(
    ("settings_", "sentence"),
    [({"name": " "}, "needs the model's name"), ({"name": "a", "data_counts": {"test": -1}}, "test=-1")],
)
def test_a_card_of_unsound_facts_is_refused(settings_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        CardFacts(**settings_)


def trials(states: Sequence[str]) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    count = len(states)
    return pd.DataFrame(
        {
            "number": range(count),
            "state": states,
            "value": np.where(np.array(states) == "FAIL", np.nan, rng.normal(0.8, 0.02, count)),
            "seconds": 90.0,
            "reason": "",
            "imbalance": [("none", "smote")[place % 2] for place in range(count)],
        }
    )


def test_a_sweep_is_told_with_all_that_is_known(evaluation: Evaluation) -> None:
    table = trials(["COMPLETE"] * 9 + ["PRUNED", "FAIL", "FAIL"])
    picture = blocks_of(evaluation_sections(evaluation), Picture)[0].image
    seeds = seeds_table({"first": [{"accuracy": 0.9}, {"accuracy": 0.92}]})
    worth = worth_table(table)
    facts = SweepFacts(
        table, "accuracy", worth={"imbalance": worth}, worth_figures={"imbalance": picture},
        importances={"imbalance": 1.0}, trade_offs={"Accuracy by latency": picture},
    )  # fmt: skip
    sections = [*sweep_sections(facts, top=4), seeds_section(seeds, picture)]
    assert titles(sections) == [
        "Search", "Leaderboard", "What each option was worth", "What mattered", "Trade-offs", "Spread over seeds",
    ]  # fmt: skip
    (highlights,) = blocks_of(sections, Highlights)
    assert highlights.items[0] == ("Trials", "12", "9 finished, 1 pruned, 2 failed")
    assert highlights.items[2].value == "18.0 min"
    board, options, _ = blocks_of(sections, Table)
    assert len(board.frame) == 4
    smote = list(worth["option"]).index("smote")
    assert options.body[smote][4].text == f"{worth['adjusted_gain'][smote]:.4f}".replace("-", "−")
    assert options.body[smote][5].drawn.line is not None
    assert "Accuracy by latency" in render(Report("Sweep", "", sections))


def test_a_sweep_without_a_finished_trial_is_told_too() -> None:
    sections = sweep_sections(SweepFacts(trials(["FAIL", "FAIL"])))
    assert titles(sections) == ["Search", "Leaderboard"]
    assert render(Report("Sweep", "", sections)).count("<tr>") == 1


def test_a_table_of_worth_without_its_interval_is_refused() -> None:
    table = trials(["COMPLETE"] * 6)
    with pytest.raises(DataError, match="imbalance was worth lacks the column 'adjusted_gain_low'"):
        SweepFacts(table, worth={"imbalance": worth_table(table).drop(columns="adjusted_gain_low")})
