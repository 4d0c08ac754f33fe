"""Search an experiment, evaluate the best on the test split, register it, and say what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console

from wellai_exp import stopping
from wellai_exp.compute import Crew, Note, Place
from wellai_exp.config import Composer, build, config_text
from wellai_exp.evaluation import leaderboard
from wellai_exp.ledger import LEDGER, spent
from wellai_exp.report import Section
from wellai_exp.search import NothingFeasible
from wellai_exp.tracking import Run
from wellai_exp.verbs._final import Finalist, Finals, FinalSettings, best_of_stages
from wellai_exp.verbs._hired import FEATURES_COMPUTED, SPENT, BenchJob, Brief
from wellai_exp.verbs._mending import Mender
from wellai_exp.verbs._profile import show_profile
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._screen import Closing, Speaker
from wellai_exp.verbs._stage_run import STRATEGY_GROUP, StageRun, check_stages
from wellai_exp.verbs._stages import Stage, stages_of
from wellai_exp.verbs._trial import Clock, TrialRunner
from wellai_exp.verbs._winner import Kept, Winner, log_report, log_winner, register
from wellai_exp.verbs._workbench import Workbench, log_data, study_name

VERSION_TAG, STUDENT_TAG = "wellai.version", "wellai.student"
SHOWN = ("auc_pr_macro", "accuracy", "balanced_accuracy", "f1_macro")


@dataclass(frozen=True)
class Sweep:
    """A sweep under way.

    Parameters
    ----------
    bench : Workbench
        Data and tools.
    composer : Composer
        Composes trials.
    stages : list of Stage
        Its searches.
    name : str
        What its studies are named after.
    console : rich.console.Console
        Where it speaks.
    computed_elsewhere : list of int
        One number: the images whose features its workers computed.
    """

    bench: Workbench
    composer: Composer
    stages: list[Stage]
    name: str
    console: Console
    computed_elsewhere: list[int] = field(default_factory=lambda: [0])

    @property
    def cfg(self) -> DictConfig:
        """The command's config."""
        return self.bench.cfg

    @property
    def command(self) -> str:
        """The line that runs it."""
        return shlex.join(["wellai-exp", "sweep", *self.composer.overrides])

    def run(self) -> None:
        """Do what is left of it."""
        clock = Clock()
        done: dict[str, StageRun] = {}
        speaker = Speaker(self.console)
        with self._run() as parent, self._crew(clock, speaker) as crew:
            for stage in self.stages:
                done[stage.name] = self._stage(stage, parent, done, clock, speaker, crew)
            if len(done) > 1:
                parent.log_table(pd.DataFrame([each.summary() for each in done.values()]), "search/stages.csv")
            closing = self._finish(parent, done)
        closing.show(self.console)
        if self.cfg.profile:
            show_profile(self.console, clock.seconds, LEDGER)
        computed = self.bench.shared.features_computed + self.computed_elsewhere[0]
        self.console.print(f"features computed in this run: {computed}", highlight=False)

    @contextmanager
    def _run(self) -> Iterator[Run]:
        """Open the sweep's run, or take it up again."""
        tracker = self.bench.tracker
        mine = {"wellai.study": self.name, "wellai.kind": "sweep"}
        earlier = tracker.find_run(mine)
        tags = {**provenance(int(self.cfg.seed)), **mine, "wellai.data_digest": self.bench.manifest.digest}
        with tracker.run(f"sweep {self.cfg.name}", tags=tags, resume=earlier) as parent:
            if earlier is None:
                self._describe(parent)
            yield parent

    def _describe(self, parent: Run) -> None:
        search = self.cfg.search
        parent.log_params(
            {
                "data": self.bench.manifest.name,
                "search.n_trials": search.n_trials,
                "search.maximize": search.maximize,
                "search.minimize": search.minimize,
                "stages": ", ".join(stage.name for stage in self.stages if stage.name),
                **{f"search.subject_to.{key}": value for key, value in search.subject_to.items()},
                **{f"search.space.{key}": value for key, value in search.space.items()},
            }
        )
        parent.log_text(config_text(self.cfg), "config.yaml")
        parent.log_text(f"{self.command}\n", "command.txt")
        log_data(parent, self.bench.manifest)

    def _crew(self, clock: Clock, speaker: Speaker) -> AbstractContextManager[Crew | None]:
        """Give the workers that the settings ask for; None where this process does the trials itself."""
        place: Place = build(self.cfg, "compute")
        if place.in_process:
            return nullcontext()

        def noted(note: Note) -> None:
            if note.name == FEATURES_COMPUTED:
                self.computed_elsewhere[0] += int(note.value)
            elif note.name.startswith(SPENT):
                LEDGER.add_elsewhere(note.name.removeprefix(SPENT), note.value)
            else:
                clock.add(note.name, note.value)

        job = BenchJob.of(self.bench, self.composer, place.memory_share)
        return Crew(place, job, self.bench.store / "workers" / f"{self.name}.log", speaker.say, noted)

    def _stage(
        self,
        stage: Stage,
        parent: Run,
        done: Mapping[str, StageRun],
        clock: Clock,
        speaker: Speaker,
        crew: Crew | None,
    ) -> StageRun:
        """Do what is left of one stage and log what it gave."""
        run = StageRun.begin(stage, self.bench, self.composer, self.name, done)
        with run.study.opened():
            mender = Mender(self.bench.tracker, parent.id, run.study, stage.name)
            mender.mend()
            if run.study.finished:
                self.console.print(
                    f"{stage.name} going on after {run.study.finished} of {run.search.n_trials} trials".strip(),
                    highlight=False,
                )
            with speaker.trials(run.study, stage.name):
                goals, name = run.search.goals, run.study.name
                if crew is None:
                    evaluate = TrialRunner(
                        self.bench, run.composer, parent.id, name, stage.name, goals, clock, speaker.say
                    )
                    run.study.run(evaluate, speaker.finished)
                else:
                    brief = Brief(parent.id, name, stage.name, tuple(stage.overrides), goals)
                    with spent("wait"):
                        crew.run(run.study, brief, mender.settle, speaker.finished)
            stopping.check()
            run.report(parent)
        return run

    def _finish(self, parent: Run, done: Mapping[str, StageRun]) -> Closing:
        """Confirm, train, evaluate and register the winner, unless this very winner has been already."""
        finalists = self._finalists(done)
        with Speaker(self.console).line("final") as speaker:
            objective = self._last(done).objective
            finals = Finals(self.bench, parent, speaker.say, objective)
            known = finals.key(finalists)
            tags = self.bench.tracker.get(parent.id).tags
            if tags.get("wellai.finalists") == known:
                return self._closing(parent, done)
            finalist = finals.confirm(finalists)
            kept, version, seeds = self._crown(parent, finals, finalist)
            parent.set_tags({"wellai.winner": finalist.name, "wellai.finalists": known})
            # Last, because it wants the version's number, and nothing may be registered twice for its sake.
            more = [*seeds, *(each for run in done.values() for each in run.sections())]
            log_report(self.bench, parent, kept, version, more=more)
        return self._closing(parent, done)

    def _finalists(self, done: Mapping[str, StageRun]) -> list[Finalist]:
        """Give the best trials of the stages that may win, best first; the best of each stage is among them."""
        k = FinalSettings.of(self.cfg).candidates
        winning = [run for run in done.values() if run.stage.wins]
        try:
            found = [run.finalists(k) for run in winning]
        except NothingFeasible:
            self._show_nearest(winning)
            raise
        # What the final training changes is changed for these too: a short training prefers other settings.
        overrides = [str(override) for override in self.cfg.final.overrides]
        return [finalist.longer(overrides) for finalist in best_of_stages(found, k)]

    def _show_nearest(self, stages: list[StageRun]) -> None:
        """List what comes nearest to the constraints, where nothing keeps them."""
        for run in stages:
            if not run.study.goals.constraints:
                continue
            self.console.print(f"Nearest to {' and '.join(map(str, run.study.goals.constraints))}:", highlight=False)
            for each in run.study.nearest(3):
                figures = ", ".join(f"{name} {value:.4g}" for name, value in each.metrics.items())
                self.console.print(f"  trial {each.number}: {figures} ({' '.join(each.overrides)})", highlight=False)

    def _last(self, done: Mapping[str, StageRun]) -> StageRun:
        return list(done.values())[-1]

    def _crown(self, parent: Run, finals: Finals, finalist: Finalist) -> tuple[Kept, int | None, list[Section]]:
        """Train the winner on all training images, log it, and register it; gives it, its version and its seeds."""
        winners = finals.train(finalist)
        soup = finals.soup(finalist, winners) if finals.settings.soup else None
        spread, seeds = finals.report(winners, soup)
        chosen, reproduce = (soup, self.command) if soup else (winners[0], finalist.reproduce)
        if self.cfg.final.baseline:
            plain = self._baseline(finals, finalist, winners[0])
            parent.log_metrics({f"baseline/{name}": value for name, value in plain.test.items()})
        parent.set_tags({"wellai.reproduce": reproduce, VERSION_TAG: "", STUDENT_TAG: ""})
        # Before the winner is registered: what is wrong with a student is mended by the same command once more.
        self._student(parent, finals, finalist, winners)
        kept = log_winner(self.bench, parent, chosen, reproduce, finals.say)
        objective = finals.objective
        parent.log_metrics({f"best/cv_{objective}_mean": finalist.trial.value})
        version = self._register(parent, kept.uri, chosen, reproduce, spread, VERSION_TAG)
        return kept, version, seeds

    def _baseline(self, finals: Finals, finalist: Finalist, first: Winner) -> Winner:
        """Give the winner without its strategy; itself where it has none."""
        if first.choices.strategy.name == "none":
            return first
        kept = [text for text in finalist.trial.overrides if not text.startswith(f"{STRATEGY_GROUP}.")]
        overrides = [text for text in kept if not text.startswith(f"{STRATEGY_GROUP}=")] + [f"{STRATEGY_GROUP}=none"]
        return finals.baseline(finalist.composer.trial(overrides), finalist.composer.reproduce(overrides))

    def _student(self, parent: Run, finals: Finals, finalist: Finalist, winners: list[Winner]) -> None:
        """Distil a student where one is asked for, and register it beside its teacher."""
        overrides = [str(override) for override in self.cfg.distill.student]
        if not overrides:
            return
        student, reproduce = finals.distil(finalist, winners, overrides)
        parent.log_metrics({f"student/{name}": value for name, value in student.test.items()})
        kept = log_winner(self.bench, parent, student, reproduce, finals.say, "student")
        name = f"{self.cfg.tracking.registered_name}-student"
        version = self._register(parent, kept.uri, student, reproduce, {}, STUDENT_TAG, name)
        log_report(self.bench, parent, kept, version, name=name, part="student")

    def _register(
        self,
        parent: Run,
        uri: str,
        winner: Winner,
        reproduce: str,
        spread: Mapping[str, float],
        noted: str,
        name: str | None = None,
    ) -> int | None:
        """Register a model where that is asked for; gives its version where there is one now."""
        if not self.cfg.register:
            return None
        tags = {
            "wellai.study": self.name,
            "wellai.data_digest": self.bench.manifest.digest,
            "wellai.reproduce": reproduce,
            **{key: f"{value:.6f}" for key, value in spread.items()},
        }
        return register(self.bench, parent, uri, winner, tags, name, noted)

    def _closing(self, parent: Run, done: Mapping[str, StageRun]) -> Closing:
        """Put the last screen together from what the sweep's run holds."""
        record = self.bench.tracker.get(parent.id)
        version = record.tags.get(VERSION_TAG, "")
        run = self._last(done)

        def part(prefix: str) -> dict[str, float]:
            wanted = {name: record.metrics.get(f"{prefix}/{name}") for name in SHOWN}
            return {name: value for name, value in wanted.items() if value is not None}

        return Closing(
            stages=[each.summary() for name, each in done.items() if name],
            board=leaderboard(run.trials()),
            worth=run.worth.get(STRATEGY_GROUP),
            groups=run.groups,
            objective=run.objective,
            winner=part("test"),
            spread={name: (part("test_mean")[name], std) for name, std in part("test_std").items()},
            baseline=part("baseline"),
            honest=part("test_without_leaked"),
            student=part("student"),
            reproduce=record.tags["wellai.reproduce"],
            place=self._place(version),
            commands=self._next(version),
        )

    def _place(self, version: str) -> str:
        tracking = self.cfg.tracking
        if not version and self.cfg.register:
            return "Not registered yet: it will be once the tracking server has the model."
        if not version:
            return "Not registered, as register=false asks; the model lies in the sweep's run."
        return f"Registered: {tracking.registered_name} version {version}, alias {tracking.alias}"

    def _next(self, version: str) -> tuple[str, ...]:
        store = f" paths.store={self.cfg.paths.store}" if str(self.cfg.paths.store) != "mlruns" else ""
        ui = f"wellai-exp ui{store}"
        if not version:
            return (ui,)
        name = str(self.cfg.tracking.registered_name)
        export = f"wellai-exp export {shlex.quote(f'models:/{name}@{self.cfg.tracking.alias}')}{store}"
        return ui, export, f"wellai-exp promote {shlex.quote(name)}{store}"


def run(cfg: DictConfig) -> None:
    """Run or go on with the sweep that the command describes."""
    FinalSettings.of(cfg)
    composer, stages = Composer.running(), stages_of(cfg)
    check_stages(stages, composer)
    bench = Workbench.open(cfg)
    name = str(cfg.search.study or study_name(cfg, bench.manifest))
    Sweep(bench, composer, stages, name, Console()).run()
