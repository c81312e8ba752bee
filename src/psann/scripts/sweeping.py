"""`hisso-runs sweep`: its arguments, and what they ask for; Optuna and torch are loaded late."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from psann.errors import UsageError
from psann.scripts import commands
from psann.scripts.hisso_log_run import CommandParser, a_path, add_import_options, whole_number

if TYPE_CHECKING:
    from psann._imports import ImportPolicy
    from psann.run.sweep.config import Sweep
    from psann.run.sweep.record import SweepPaths


def add_sweep(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "sweep",
        help="try many configurations, on one machine or many, and choose one",
        description="Try values of some keys of a configuration, each as a run of its own whose "
        "test rows stay shut, and choose on validation rows. The same command again, here or on "
        "another machine with this folder, joins the sweep or goes on with it, whatever was "
        "killed.",
    )
    parser.add_argument(
        "sweep", nargs="?", type=a_path, metavar="SWEEP", help="sweep.yaml: what to try"
    )
    parser.add_argument("-o", "--output-dir", type=a_path, metavar="D", help="folder of the sweep")
    parser.add_argument(
        "--workers",
        type=whole_number(1, 1024),
        default=1,
        metavar="N",
        help="trials at the same time on this machine (default: 1)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--check", action="store_true", help="say what would be tried or refused; write nothing"
    )
    what.add_argument(
        "--finish",
        action="store_true",
        help="choose on validation rows, then judge the choice on test rows",
    )
    what.add_argument(
        "--study",
        type=a_path,
        metavar="RUN",
        help="in place of SWEEP: train folds and placebos of a run for it, into RUN.studies",
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="queue for workers that share no disk: grpc://HOST:PORT, or of a database",
    )
    add_import_options(parser, "only", "allow")
    parser.set_defaults(do=sweep)


def sweep(options: argparse.Namespace) -> int:
    """Check a sweep, work on it, or finish it; or work on the studies of one run."""
    if options.study is not None:
        return _study(options)
    if options.sweep is None or options.output_dir is None:
        raise UsageError("sweep must have SWEEP and -o D, or --study RUN.")
    from psann.run.sweep.config import load_sweep
    from psann.run.sweep.record import SweepPaths

    asked = load_sweep(options.sweep)
    paths = SweepPaths(options.output_dir.absolute())
    if options.check:
        return _check(asked, paths)
    return _finish(asked, paths, options) if options.finish else _work(asked, paths, options)


def _study(options: argparse.Namespace) -> int:
    from psann._terminal import Terminal
    from psann.run.sweep.studies import study_lines, work_on_studies

    if (given := options.sweep or options.output_dir or options.storage) is not None:
        raise UsageError(f"--study must stand alone, with --workers at most; got {given} too.")
    terminal = Terminal()

    def look() -> None:
        if terminal.is_live:
            with suppress(OSError):  # what cannot be looked at stops no worker
                terminal.redraw(study_lines(options.study))

    done = work_on_studies(
        options.study,
        n_at_once=options.workers,
        imports=replace(_imports(options), is_of_a_file=True),
        look=look,
    )
    for message in done.messages:
        commands.tell(f"hisso-runs: {message}", file=sys.stderr)
    if done.told:
        commands.tell(f"{options.study}.studies: {done.told}")
        commands.tell("  the run takes them when it gets there; start it with --resume if it ended")
    return done.exit_code


def _check(asked: Sweep, paths: SweepPaths) -> int:
    from psann.run.sweep.plan import plan_lines

    for line in plan_lines(asked, paths):
        commands.tell(line)
    return commands.EXIT_CLEAN


def _work(asked: Sweep, paths: SweepPaths, options: argparse.Namespace) -> int:
    from psann._terminal import Terminal
    from psann.run.sweep.progress import Progress, closing_lines
    from psann.run.sweep.worker import WorkOptions, work

    progress = Progress(Terminal())
    done = work(
        asked,
        paths,
        WorkOptions(
            n_at_once=options.workers,
            storage=options.storage,
            imports=_imports(options),
            argv=_argv(),
            look=progress.look,
        ),
    )
    for message in done.messages:
        commands.tell(f"hisso-runs: {message}", file=sys.stderr)
    for line in closing_lines(done.record, Path(options.sweep), paths):
        commands.tell(line)
    return done.exit_code


def _finish(asked: Sweep, paths: SweepPaths, options: argparse.Namespace) -> int:
    from psann.run.reading.closing import show_result
    from psann.run.reading.reading import read_run
    from psann.run.sweep.finish import finish, looks_sentence
    from psann.run.sweep.progress import value_text
    from psann.run.sweep.reading import SweepView, versions_sentences

    done = finish(asked, paths, imports=_imports(options), argv=_argv())
    if done.outcome.message is not None:
        commands.tell(f"hisso-runs: {done.outcome.message}", file=sys.stderr)
        return done.outcome.exit_code
    if not done.is_new:
        commands.tell("The same choice among the same candidates was judged before:")
    if (chosen := done.record["chosen"]) is not None:
        commands.tell(f"chosen on validation rows: {value_text(done.record, chosen['run'])}")
    show_result(read_run(paths.chosen))
    for sentence in versions_sentences(SweepView(paths, done.record)):
        commands.tell(sentence)
    commands.tell(looks_sentence(done.record))
    return done.outcome.exit_code


def _imports(options: argparse.Namespace) -> ImportPolicy:
    from psann._imports import ImportPolicy

    return ImportPolicy(only=tuple(options.only_import), allow=tuple(options.allow_import))


def _argv() -> tuple[str, ...]:
    return ("hisso-runs", *sys.argv[1:])
