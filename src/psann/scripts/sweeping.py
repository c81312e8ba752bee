"""`hisso-runs sweep`: its arguments, and what they ask for; Optuna and torch are loaded late."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from psann.scripts import commands
from psann.scripts.hisso_log_run import CommandParser, a_path, add_import_options

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
        allow_abbrev=False,
    )
    parser.add_argument("sweep", type=a_path, metavar="SWEEP", help="sweep.yaml: what to try")
    parser.add_argument(
        "-o", "--output-dir", required=True, type=a_path, metavar="D", help="folder of the sweep"
    )
    parser.add_argument(
        "--workers",
        type=_a_few,
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
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="queue for workers that share no disk: grpc://HOST:PORT, or of a database",
    )
    add_import_options(parser, "only", "allow")
    parser.set_defaults(do=sweep)


def _a_few(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 to 1024; got {text[:80]!r}")
    return int(text)


def sweep(options: argparse.Namespace) -> int:
    """Check a sweep, work on it, or finish it."""
    from psann.run.sweep.config import load_sweep
    from psann.run.sweep.record import SweepPaths

    asked = load_sweep(options.sweep)
    paths = SweepPaths(options.output_dir.absolute())
    if options.check:
        return _check(asked, paths)
    return _finish(asked, paths, options) if options.finish else _work(asked, paths, options)


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

    done = finish(asked, paths, imports=_imports(options), argv=_argv())
    if done.outcome.message is not None:
        commands.tell(f"hisso-runs: {done.outcome.message}", file=sys.stderr)
        return done.outcome.exit_code
    chosen = done.record["chosen"] or {}
    if not done.is_new:
        commands.tell("The same choice among the same candidates was judged before:")
    commands.tell(
        f"chosen on validation rows: {chosen['run']}, {done.record['monitor']} "
        f"{chosen['value']:.6g}"
    )
    show_result(read_run(paths.chosen))
    commands.tell(looks_sentence(done.record))
    return done.outcome.exit_code


def _imports(options: argparse.Namespace) -> ImportPolicy:
    from psann._imports import ImportPolicy

    return ImportPolicy(only=tuple(options.only_import), allow=tuple(options.allow_import))


def _argv() -> tuple[str, ...]:
    return ("hisso-runs", *sys.argv[1:])
