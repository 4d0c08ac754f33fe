"""``wellai-exp promote`` and ``rollback`` as they are typed, on a real registry."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contenders import NAMES, ROWS, keras_model, manifest, predictions, register
from tracking_stores import tracking_in

from wellai_exp.cli import main
from wellai_exp.tracking import Judgement, ModelRecord, Registry, Tracker, VersionRecord

QUICK = (
    "~promotion.latency",
    "promotion.paired_improvement.n_resamples=100",
    "promotion.no_class_worse.n_resamples=100",
)
Type = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def models() -> list[Any]:
    return [keras_model(seed) for seed in range(3)]


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.chdir(tmp_path)
    manifest().save(tmp_path / "mlruns" / "manifests" / manifest().digest)
    return Tracker(tracking_in(tmp_path / "mlruns"))


@pytest.fixture
def type_(
    tracker: Tracker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Type a command; gives exit status, what it says and what it complains of."""
    monkeypatch.setenv("COLUMNS", "200")

    def typed(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wellai-exp", *arguments])
        status = 0
        try:
            main()
        except SystemExit as stopped:
            status = int(str(stopped.code))
        said = capsys.readouterr()
        return status, said.out, said.err

    return typed


def state(tracker: Tracker) -> ModelRecord:
    return Registry(tracker.tracking).describe("demo")


def newest(tracker: Tracker) -> VersionRecord:
    return state(tracker).versions[0]


def test_a_better_challenger_is_promoted_and_its_verdicts_are_kept(
    tracker: Tracker, type_: Type, models: list[Any]
) -> None:
    register(tracker, models[0], predictions(1.0))
    assert type_("promote", "demo", *QUICK)[0] == 0
    register(tracker, models[1], predictions(3.0, 1))
    status, said, _ = type_("promote", "demo", "--reason", "it's [better]", *QUICK)
    assert status == 0
    assert "demo version 2 is now champion (before: 1)" in said
    assert said.count("passed") == 7
    record = newest(tracker)
    assert state(tracker).aliases["champion"] == 2
    assert record.tags["gate/paired_improvement"] == record.tags["promotion_verdict"] == "passed"
    kept = json.loads(tracker.fetch(str(record.run_id), "promotion/demo/2.json").read_text(encoding="utf-8"))
    assert (kept["version"], kept["previous"], kept["verdict"], kept["reason"]) == (2, 1, "passed", "it's [better]")
    gain = predictions(3.0, 1).aggregates["auc_pr_macro"] - predictions(1.0).aggregates["auc_pr_macro"]
    (improvement,) = [each for each in kept["verdicts"] if each["gate"] == "paired_improvement"]
    assert improvement["figures"]["gain"] == pytest.approx(gain)
    assert [step.verdict for step in state(tracker).history] == ["passed", "passed"]
    status, said, _ = type_("rollback", "demo")
    assert (status, state(tracker).aliases["champion"]) == (0, 1)


def test_an_equal_challenger_is_refused_and_only_its_verdicts_are_kept(
    tracker: Tracker, type_: Type, models: list[Any]
) -> None:
    register(tracker, models[0], predictions())
    type_("promote", "demo", *QUICK)
    register(tracker, models[1], predictions())
    before = state(tracker)
    status, said, complaint = type_("promote", "demo", *QUICK)
    assert status == 1
    assert "not surely above 0" in said
    assert (
        "demo/2 is not promoted: 1 of 7 gates refuse it (paired_improvement); champion is version 1 as before. To "
        "promote it all the same type `wellai-exp promote demo --version 2 --force --reason 'why'`."
    ) in complaint
    assert (state(tracker).aliases, state(tracker).history) == (before.aliases, before.history)
    record = newest(tracker)
    assert (record.tags["gate/paired_improvement"], record.tags["gate/size"]) == ("failed", "passed")
    assert record.tags["promotion_verdict"] == "failed"
    assert "promoted_at" not in record.tags
    kept = json.loads(tracker.fetch(str(record.run_id), "promotion/demo/2.json").read_text(encoding="utf-8"))
    assert (kept["action"], kept["verdict"], kept["previous"]) == ("refuse", "failed", 1)


def test_a_challenger_evaluated_on_other_images_is_refused(tracker: Tracker, type_: Type, models: list[Any]) -> None:
    register(tracker, models[0], predictions(1.0))
    assert type_("promote", "demo", *QUICK)[0] == 0
    better = predictions(3.0, 1)
    register(tracker, models[1], replace(better, sha256=tuple(f"{row:064x}" for row in range(1_000, 1_000 + ROWS))))
    status, _, complaint = type_("promote", "demo", *QUICK)
    assert status == 1
    assert "of which 0 are the same; evaluate both on the same data" in complaint
    assert state(tracker).aliases["champion"] == 1


def test_force_wants_a_reason_and_is_kept_with_the_verdicts(tracker: Tracker, type_: Type, models: list[Any]) -> None:
    register(tracker, models[0], predictions(0.0))
    bad = ["promote", "demo", *QUICK]
    assert type_(*bad)[0] == 1
    status, _, complaint = type_(*bad, "--force")
    assert (status, "needs a reason; add --reason" in complaint) == (1, True)
    assert type_(*bad, "--force", "--reason", " ")[0] == 1
    assert "force=1: it must be true or false" in type_(*bad, "force=1")[2]
    assert not state(tracker).history
    status, said, _ = type_(*bad, "--force", "--reason", "a show tonight")
    assert status == 0
    assert "against its gates" in said
    tags = newest(tracker).tags
    assert (tags["gate/absolute"], tags["gate/size"], tags["promotion_verdict"]) == ("failed", "passed", "forced")
    assert tags["promotion_reason"] == "a show tonight"
    assert state(tracker).history[-1].verdict == "forced"
    # Promoted once more with another set of gates, it carries their verdicts alone.
    type_("rollback", "demo")
    type_("promote", "demo", "promotion=[size]")
    tags = newest(tracker).tags
    assert {key for key in tags if key.startswith("gate/")} == {"gate/size"}
    assert tags["promotion_verdict"] == "passed"


def test_without_predictions_only_force_promotes(tracker: Tracker, type_: Type, models: list[Any]) -> None:
    register(tracker, models[0], None)
    status, _, complaint = type_("promote", "demo", *QUICK)
    assert status == 1
    assert "type `wellai-exp evaluate demo/1 experiment=poses" in complaint
    status, said, _ = type_("promote", "demo", *QUICK, "--force", "--reason", "known from before")
    assert status == 0
    assert "has no predictions to judge it by" in said
    assert newest(tracker).tags["gate/evidence"] == "failed"


@pytest.mark.parametrize("more", [(), ("--force", "--reason", "I want it")])
def test_files_that_were_changed_are_never_promoted(
    tracker: Tracker, type_: Type, models: list[Any], more: tuple[str, ...]
) -> None:
    register(tracker, models[0], predictions(3.0))
    path = Registry(tracker.tracking).resolve("demo/1").path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    status, _, complaint = type_("promote", "demo", *QUICK, *more)
    assert status == 1
    assert "was changed after it was kept" in complaint
    assert not state(tracker).history
    assert "champion" not in state(tracker).aliases


def test_nothing_is_rolled_back_to_changed_files(tracker: Tracker, type_: Type, models: list[Any]) -> None:
    for skill in (1.0, 3.0):
        register(tracker, models[int(skill // 2)], predictions(skill))
        assert type_("promote", "demo", *QUICK)[0] == 0
    path = Registry(tracker.tracking).resolve("demo/1").path
    path.write_bytes(path.read_bytes()[:-1])
    status, _, complaint = type_("rollback", "demo")
    assert (status, "was changed after it was kept" in complaint) == (1, True)
    assert state(tracker).aliases["champion"] == 2


def test_another_alias_has_a_champion_of_its_own(tracker: Tracker, type_: Type, models: list[Any]) -> None:
    register(tracker, models[0], predictions(1.0))
    assert type_("promote", "demo", *QUICK)[0] == 0
    register(tracker, models[1], predictions(0.5))
    assert (
        "demo version 2 is now in_the_shop (before: none)" in type_("promote", "demo", "alias=in_the_shop", *QUICK)[1]
    )
    assert state(tracker).aliases == {"champion": 1, "challenger": 2, "in_the_shop": 2}
    assert type_("rollback", "demo", "alias=in_the_shop")[0] == 0
    assert state(tracker).aliases == {"champion": 1, "challenger": 2}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["promotion=[]"], "promotion=[]: nothing would be judged; set promotion=default"),
        (["promotion=none"], "promotion=none: there is no such option; choose one of absolute, calibration"),
        (["promotion.size.most=-1"], "promotion.size.most=-1: it must be a number, at least 0"),
        (
            ["promotion=[paired_improvement]", "promotion.paired_improvement.metric=acuracy"],
            "promotion.paired_improvement.metric=acuracy: there is no such metric; choose among accuracy",
        ),
        (["+promotion.x._target_=wellai_exp.promotion.Verdict"], "promotion.x"),
        (["+promotion.x._target_=wellai_exp.tracking.Registry"], "promotion.x"),
        (["+promotion.x._target_=os.system"], "only classes of wellai_exp"),
        (["--version", "7"], "demo has no version 7: its versions are 1"),
        (["alias=v2"], "alias=v2: MLflow keeps this alias for itself"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(
    tracker: Tracker, type_: Type, models: list[Any], arguments: list[str], words: str
) -> None:
    register(tracker, models[0], predictions(3.0))
    status, _, complaint = type_("promote", "demo", *arguments)
    assert status == 1
    assert words in complaint
    assert "Traceback" not in complaint
    assert not state(tracker).history


def test_latency_is_measured_once_for_a_model(tracker: Tracker, type_: Type, models: list[Any]) -> None:
    register(tracker, models[0], predictions(3.0))
    command = ("promote", "demo", "promotion=[latency]")
    status, said, _ = type_(*command, "promotion.latency.most=0.000001")
    assert status == 1
    assert "ms in litert, more than 1e-06" in said
    (card,) = (tracker.tracking.store / "benchmarks").glob("*.json")
    measured = card.stat().st_mtime_ns
    assert type_(*command)[0] == 0
    assert card.stat().st_mtime_ns == measured


RIVAL = """
import sys
from pathlib import Path
from wellai_exp.errors import WellaiError
from wellai_exp.tracking import Judgement, Registry, Tracking
registry = Registry(Tracking(Path(sys.argv[1]), "demo"))
version, champion = registry.choose("demo", int(sys.argv[2]))
print(champion, flush=True)
sys.stdin.readline()
try:
    registry.promote("demo", version, who="ada", reason="mine", judgement=Judgement(version, champion, {"size": True}))
except WellaiError as error:
    print(error)
else:
    print("promoted")
"""


@pytest.mark.slow
def test_of_two_promotions_at_once_one_is_judged_again(tracker: Tracker, models: list[Any]) -> None:
    for index in range(2):
        register(tracker, models[index], predictions(3.0, index))
    store = str(tracker.tracking.store)
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", RIVAL, store, str(version)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for version in (1, 2)
    ]
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "None\n"
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("\n")
        rival.stdin.flush()
    said = [rival.communicate(timeout=60)[0].strip() for rival in rivals]
    winner = said.index("promoted") + 1
    loser = 3 - winner
    assert f"While demo/{loser} was judged, champion changed (it was none and is version {winner})" in said[loser - 1]
    record = state(tracker)
    assert record.aliases["champion"] == winner
    assert [(step.previous, step.version) for step in record.history] == [(None, winner)]
    assert not [key for key in record.versions[0 if loser == 2 else 1].tags if key.startswith(("gate/", "promot"))]
    registry = Registry(tracker.tracking)
    registry.promote("demo", loser, who="bob", reason="again", judgement=Judgement(loser, winner, {"size": True}))
    assert [step.version for step in state(tracker).history] == [winner, loser]


def test_long_and_foreign_names_are_shown_whole(tracker: Tracker, type_: Type, models: list[Any]) -> None:
    register(tracker, models[0], predictions(3.0))
    type_("promote", "demo", *QUICK)
    register(tracker, models[1], predictions(skills=[5.0, 0.0, 5.0, 5.0]))
    _, said, _ = type_("promote", "demo", *QUICK)
    assert f"'{NAMES[1]}' loses" in said
    register(tracker, models[2], predictions(skills=[5.0, 5.0, 5.0, 0.0]))
    assert "'나무 자세' loses" in type_("promote", "demo", *QUICK)[1]
