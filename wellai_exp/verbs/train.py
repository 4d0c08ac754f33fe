"""Run one configuration: cross-validate it, fit it, evaluate it on the test split."""

from __future__ import annotations

from omegaconf import DictConfig
from rich.console import Console

from wellai_exp.config import Composer, config_text
from wellai_exp.verbs._follow import Follower
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._screen import Speaker, metrics_table, say_leaks
from wellai_exp.verbs._trial import run_name
from wellai_exp.verbs._winner import fit_and_evaluate, log_report, log_winner, register
from wellai_exp.verbs._workbench import Workbench, log_data, make_choices, trial_params


def run(cfg: DictConfig) -> None:
    """Train the composed configuration and log it as a run of its own."""
    bench, composer = Workbench.open(cfg), Composer.running()
    reproduce, console = composer.reproduce(()), Console()
    tags = {
        **provenance(int(cfg.seed)),
        "wellai.kind": "train",
        "wellai.data_digest": bench.manifest.digest,
        "wellai.reproduce": reproduce,
    }
    with bench.tracker.run(run_name(cfg, (), composer), tags=tags) as run_:
        run_.log_params({**trial_params(cfg), **composer.chosen(())})
        run_.log_text(config_text(cfg), "config.yaml")
        log_data(run_, bench.manifest)
        with Speaker(console).line("train") as speaker:
            follower = Follower(run_, speaker.say, "train")
            result = bench.task(cfg).cross_validate(make_choices(cfg), follower)
        cross_validated = {f"cv/{metric}": value for metric, value in result.metrics.items()}
        run_.log_metrics(cross_validated)
        with Speaker(console).line("train on all training images") as speaker:
            watcher = Follower(run_, speaker.say, "all training images", part="final")
            winner = fit_and_evaluate(bench, cfg, watcher, epochs=result.epochs or None)
        with Speaker(console).line("evidence") as speaker:
            kept = log_winner(bench, run_, winner, reproduce, speaker.say)
            version = register(bench, run_, kept.uri, winner, tags) if cfg.register else None
            log_report(bench, run_, kept, version)
    console.print(metrics_table({**cross_validated, **{f"test/{name}": value for name, value in winner.test.items()}}))
    say_leaks(console, winner.evaluation)
    console.print(f"run {run_.id} of experiment {cfg.name}; look at it with [bold]wellai-exp ui[/bold]")
    if cfg.register and version is None:
        console.print("not registered yet: it will be once the tracking server has the model")
    if version is not None:
        console.print(f"registered as {cfg.tracking.registered_name} version {version} ({cfg.tracking.alias})")
