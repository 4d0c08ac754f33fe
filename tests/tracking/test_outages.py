"""The tracking server goes away in the middle of a run, in every way there is, and comes back or does not."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from served import Served, serving, story, write

from wellai_exp.errors import StoreError
from wellai_exp.tracking import Ending, Registry, Tracker, settle, sync
from wellai_exp.tracking import _courier as courier_module
from wellai_exp.tracking._courier import courier_of

STEPS = 22


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("outages")) as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(served: Served, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a server holds of a run during which nothing happened."""
    write(Tracker(served.tracking(tmp_path_factory.mktemp("calm"), "calm")), lambda step: None)
    told = story(served, "calm")
    assert [each["name"] for each in told] == ["child 0", "child 1", "parent"]
    assert [len(each["metrics"].get("loss", [])) for each in told] == [3, 3, 0]
    return told


def at(strikes: dict[int, Callable[[], object]]) -> Callable[[int], None]:
    """Do something before some of a run's steps."""

    def between(step: int) -> None:
        if step in strikes:
            strikes[step]()

    return between


def nothing_left(served: Served, store: Path) -> bool:
    """Whether all of it is there, and no outbox is left behind."""
    settle(lambda left: None)
    return not any((store / "outbox").iterdir()) and not courier_of(served.tracking(store)).mails


def wait_until(there: Callable[[], bool]) -> None:
    for _ in range(1200):
        if there():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within two minutes")


def test_a_server_that_is_killed_and_comes_back_has_everything_once(
    served: Served, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    tracker = Tracker(served.tracking(tmp_path, "killed"))
    _ = tracker.experiment_id
    local: list[str] = []

    def away() -> None:
        served.strike(signal.SIGKILL)

    def during() -> None:
        # What the run was told so far can be read all the same.
        local.append(tracker.get(next(iter(courier_of(tracker.tracking).mails.values())).id).params["b"])

    write(tracker, at({6: away, 20: during, 21: served.start}))
    wait_until(lambda: not courier_of(tracker.tracking).mails)
    assert local == ["two"]
    assert story(served, "killed") == undisturbed
    assert nothing_left(served, tmp_path)


def test_a_server_that_hangs_and_wakes_has_everything_once(
    served: Served, undisturbed: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Shorter than a user would wait, so that MLflow itself sends the creation of a run three times.
    monkeypatch.setattr(courier_module, "PATIENCE", 0.5)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    tracker = Tracker(served.tracking(tmp_path, "hung"))
    _ = tracker.experiment_id

    def wake() -> None:
        time.sleep(4)
        served.strike(signal.SIGCONT)

    # Before the second child is made.
    write(tracker, at({10: lambda: served.strike(signal.SIGSTOP), 21: wake}))
    wait_until(lambda: not courier_of(tracker.tracking).mails)
    assert story(served, "hung") == undisturbed
    assert nothing_left(served, tmp_path)


def test_a_server_that_never_comes_back_is_told_and_synced_later(
    served: Served, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    import keras

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    tracker = Tracker(served.tracking(tmp_path, "lost"))
    _ = tracker.experiment_id
    write(tracker, at({3: lambda: served.strike(signal.SIGKILL)}))
    with tracker.run("winner", tags={"wellai.version": ""}) as run:
        uri = tracker.log_model(run, model, class_names=["a", "b"], size=8)
        registry = Registry(tracker.tracking)
        assert registry.resolve(uri).class_names == ("a", "b")
        assert registry.register(uri, run_id=run.id, noted="wellai.version", tags={"test/accuracy": "1"}) is None
    with pytest.raises(StoreError, match=r"server is away.*kept in .*outbox.*wellai-exp sync.*registered then"):
        settle(lambda left: None)

    # Another command, once the server is back; it is cut off half-way, and begun again.
    forget(tracker)
    served.start()
    told: list[tuple[int, int]] = []

    def cut_off(done: int, total: int) -> None:
        told.append((done, total))
        if done == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(tracker.tracking, cut_off)
    left = told[0][1] - 17
    typed = [sys.executable, "-m", "wellai_exp", "sync", f"paths.store={tmp_path}"]
    said = subprocess.run(typed, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300)
    assert said.returncode == 0, said.stderr
    assert f"brought {left} entries of " in said.stdout
    again = sync(tracker.tracking, lambda done, total: told.append((done, total)))
    assert (again.entries, again.left, again.busy) == (0, [], 0)

    *rest, winner = story(served, "lost")
    assert rest == undisturbed
    assert winner["tags"]["wellai.version"] == "1"
    version = served.client.get_model_version_by_alias("lost", "challenger")
    assert (int(version.version), version.tags["test/accuracy"]) == (1, "1")
    assert registry.resolve("lost/1").sha256 == registry.resolve("lost@challenger").sha256


def forget(tracker: Tracker) -> None:
    """Do as if this process had ended: its locks are let go of, and nobody delivers."""
    courier = courier_of(tracker.tracking)
    for mail in courier.mails.values():
        mail._outbox.release()
    del courier_module._couriers[next(key for key, value in courier_module._couriers.items() if value is courier)]
    courier.mails.clear()
    courier._errands.clear()


def test_entries_that_were_brought_but_not_noted_are_brought_again_without_harm(
    served: Served, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    tracker = Tracker(served.tracking(tmp_path, "twice"))
    _ = tracker.experiment_id
    write(tracker, at({0: lambda: hold(tracker)}))
    forget(tracker)

    def nearly(done: int, total: int) -> None:
        if done == total - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(tracker.tracking, nearly)
    (last,) = (tmp_path / "outbox").iterdir()
    notes = (last / "done.jsonl").read_bytes().splitlines(keepends=True)
    (last / "done.jsonl").write_bytes(b"".join(notes[:1]) + notes[1][: len(notes[1]) // 2])
    assert sync(tracker.tracking, lambda done, total: None).left == []
    assert story(served, "twice") == undisturbed


def hold(tracker: Tracker) -> None:
    """Have everything kept on disk, as if the server were away."""
    courier = courier_of(tracker.tracking)
    courier._away, courier._problem = True, "held by a test"
    courier._thread = threading.Thread()


def test_a_refused_entry_is_told_at_once_and_what_follows_it_goes_on(served: Served, tmp_path: Path) -> None:
    tracker = Tracker(served.tracking(tmp_path, "refused"))
    with tracker.run("one") as run:
        with pytest.raises(StoreError, match="did not do what was asked"):
            run._write("tags", {"tags": {"x" * 300: "too long a name"}})
        run.set_tags({"after": "it"})
    assert tracker.get(run.id).tags["after"] == "it"
    assert nothing_left(served, tmp_path)


def test_what_the_server_refuses_later_is_kept_in_its_order_and_told(served: Served, tmp_path: Path) -> None:
    tracker = Tracker(served.tracking(tmp_path, "gone"))
    with tracker.run("deleted meanwhile") as run:
        served.client.delete_run(run.id)
        served.strike(signal.SIGSTOP)
        courier = courier_of(tracker.tracking)
        with courier._changed:
            courier._went_away("stopped by a test")
        run.set_tags({"never": "there"})
        run.set_tags({"neither": "this"})
        served.strike(signal.SIGCONT)
    with pytest.raises(StoreError, match=r"refuses some of it.*3 entries of 1 runs"):
        settle(lambda left: None)
    forget(tracker)
    done = sync(tracker.tracking, lambda done, total: None)
    assert (done.entries, len(done.left)) == (0, 1)
    assert "3 entries for http" in done.left[0]


def test_a_running_command_keeps_its_outboxes_to_itself(served: Served, tmp_path: Path) -> None:
    tracker = Tracker(served.tracking(tmp_path, "busy"))
    with tracker.run("one"):
        done = sync(tracker.tracking, lambda done, total: None)
        assert (done.entries, done.busy, done.left) == (0, 1, [])


def test_attempts_whose_worker_is_gone_are_settled_once_the_server_is_back(served: Served, tmp_path: Path) -> None:
    tracker = Tracker(served.tracking(tmp_path, "settled"))
    lost, unmade = Ending("0", {"wellai.trial": 0}, "KILLED", "worker lost"), Ending("1", {"wellai.trial": 1}, "FAILED")
    with tracker.run("parent") as parent:
        served.client.create_run(
            tracker.experiment_id, tags={"mlflow.parentRunId": parent.id, "wellai.trial": "0"}, run_name="0"
        )
        served.strike(signal.SIGKILL)
        assert tracker.settle(parent.id, lost) is None
        assert tracker.reconcile(parent.id, lambda tags: False, lambda nested: [unmade]) == 0
        served.start()
    wait_until(lambda: not courier_of(tracker.tracking).mails)
    again = tracker.settle(parent.id, unmade)
    found = {run.name: run for run in tracker.children(parent.id)}
    assert {name: run.status for name, run in found.items()} == {"0": "KILLED", "1": "FAILED"}
    assert len(tracker.children(parent.id)) == 2
    assert (found["0"].tags["error"], found["1"].id) == ("worker lost", again)
    assert nothing_left(served, tmp_path)


def test_a_version_is_taken_up_again_by_whoever_goes_on_with_its_run(served: Served, tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    tracker = Tracker(served.tracking(tmp_path, "again"))
    registry, numbers, kept = Registry(tracker.tracking), [], []
    run_id = None
    for _ in range(2):
        with tracker.run("sweep", resume=run_id) as run:
            run_id = run.id
            uri = tracker.log_model(run, model, class_names=["a", "b"], size=8)
            tags = {"wellai.reproduce": "wellai-exp train"}
            numbers.append(registry.register(uri, run_id=run_id, tags=tags, noted="wellai.version"))
            kept.append(registry.resolve("again/1"))
    assert numbers == [1, 1]
    # The first time it is read where it was written; the second time it is the first command's, as the server has it.
    assert "outbox" in kept[0].path.parts
    assert "outbox" not in kept[1].path.parts
    assert kept[0].sha256 == kept[1].sha256
    assert (kept[0].name, kept[0].version, kept[0].run_id) == (kept[1].name, kept[1].version, run_id)
    assert tracker.get(str(run_id)).tags["wellai.version"] == "1"
    assert nothing_left(served, tmp_path)


def test_no_secret_is_kept_in_an_outbox(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSES_TOKEN", "canary-of-an-outbox")
    secret, url = "canary-of-an-outbox", "https://user:canary-of-a-url@example.org/poses"
    tracker = Tracker(
        replace(served.tracking(tmp_path, "secrets"), uri=served.url.replace("://", "://me:canary-pass@"))
    )
    _ = tracker.experiment_id
    hold(tracker)
    with tracker.run(f"run {secret}", tags={"note": f"with {secret}"}) as run:
        run.log_params({"source": url, "key": secret})
        run.log_text(f"token: {secret}\n", "config.yaml")
        run.log_dataset("poses", "f" * 36, url, 7)
    written = b"".join(each.read_bytes() for each in (tmp_path / "outbox").rglob("*") if each.is_file())
    assert b"config.yaml" in written
    assert b"***" in written
    assert b"canary" not in written
    forget(tracker)
    assert sync(tracker.tracking, lambda done, total: None).left == []
    assert story(served, "secrets")[0]["params"] == {"source": "https://user:***@example.org/poses", "key": "***"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("seconds", [5, 60])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.timeout(600)
def test_outages_of_any_kind_at_any_moment(
    served: Served,
    undisturbed: list[dict[str, Any]],
    tmp_path: Path,
    blow: signal.Signals,
    seconds: int,
    seed: int,
    injected: Callable[..., None],
) -> None:
    name = f"{blow.name} {seconds} {seed}"
    tracker = Tracker(served.tracking(tmp_path, name.replace(" ", "-")))
    _ = tracker.experiment_id
    rng = random.Random(seed)
    clock, over = Blocked(), threading.Event()

    def strike() -> None:
        served.strike(blow)
        threading.Thread(target=come_back).start()

    def come_back() -> None:
        time.sleep(seconds)
        served.strike(signal.SIGCONT) if blow == signal.SIGSTOP else served.start()
        over.set()

    write(tracker, clock.around(at({rng.randrange(STEPS): strike})))
    assert clock.longest_in_all() <= 10
    assert over.wait(300)
    wait_until(lambda: not courier_of(tracker.tracking).mails)
    assert story(served, name.replace(" ", "-")) == undisturbed
    assert nothing_left(served, tmp_path)
    injected(f"tracking server away for {seconds} s ({blow.name})", 1, clock.longest_in_all())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.timeout(600)
def test_outages_for_good_are_synced(
    served: Served, undisturbed: list[dict[str, Any]], tmp_path: Path, seed: int, injected: Callable[..., None]
) -> None:
    tracker = Tracker(served.tracking(tmp_path, f"for-good-{seed}"))
    _ = tracker.experiment_id
    rng = random.Random(seed)
    blow = rng.choice([signal.SIGKILL, signal.SIGSTOP])
    clock = Blocked()
    write(tracker, clock.around(at({rng.randrange(STEPS): lambda: served.strike(blow)})))
    assert clock.longest_in_all() <= 10
    with pytest.raises(StoreError, match="wellai-exp sync"):
        settle(lambda left: None)
    forget(tracker)
    if blow == signal.SIGSTOP:
        served.strike(signal.SIGCONT)
    else:
        served.start()
    cut = rng.randrange(1, 10)

    def cut_off(done: int, total: int) -> None:
        if done == min(cut, total):  # struck late, few are left
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(tracker.tracking, cut_off)
    assert sync(tracker.tracking, lambda done, total: None).left == []
    assert story(served, f"for-good-{seed}") == undisturbed
    injected("tracking server away for good, then synced", 1, clock.longest_in_all())


class Blocked:
    """Measures how long a run's calls took, beyond what they take while the server answers."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._seconds: list[float] = []

    def around(self, between: Callable[[int], object]) -> Callable[[int], None]:
        def timed(step: int) -> None:
            if self._last is not None:
                self._seconds.append(time.monotonic() - self._last)
            between(step)
            self._last = time.monotonic()

        return timed

    def longest_in_all(self) -> float:
        """Seconds of all steps that took a second or more: no undisturbed one does."""
        return sum(seconds for seconds in self._seconds if seconds >= 1)
