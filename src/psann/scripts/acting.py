"""`hisso-runs act` and `hisso-runs export`: their arguments, and what they do."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from psann.scripts._foreign_code import with_foreign_code
from psann.scripts.commands import EXIT_CLEAN, reading_options, tell
from psann.scripts.hisso_log_run import CommandParser, a_path, add_import_options, positive

if TYPE_CHECKING:
    from datetime import datetime

    from psann.run.acting.holdings_file import Held
    from psann.run.acting.policy import Policy
    from psann.run.acting.weights import Weights

# Written out: the modules that have them load what --help must not wait for.
_PROGRAMS = ("onnx", "torch-export")
_DOUBTS = ("level", "spacing")


def add_act(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    """Add `act`."""
    parser = subparsers.add_parser(
        "act",
        help="say what the policy of a run would hold on newer rows",
        description="Apply the policy of a run to newer rows: prices, read as in training, or "
        "features. Row by row it looks at nothing that came later. Nothing is ordered anywhere.",
    )
    parser.add_argument("run", type=a_path, metavar="RUN", help="or the folder of a finished sweep")
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="prices or features, or a folder of prices (default: what the configuration names)",
    )
    parser.add_argument(
        "-o",
        "--output",
        default="-",
        metavar="FILE",
        help=".csv, .json or .parquet; - is standard output, as CSV (default)",
    )
    parser.add_argument("--last", action="store_true", help="write the newest row only")
    parser.add_argument(
        "--since", metavar="DATE", help="rows from this date on (default: those after validation)"
    )
    parser.add_argument(
        "--policy",
        choices=("best", "last_fold"),
        default="best",
        help="the best epoch's weights, or those of the last fold of walking forward",
    )
    _add_holdings(parser)
    _add_journal(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="how to read the prices, in place of what the run knows; repeatable",
    )
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        choices=_DOUBTS,
        help="go on with prices at another level, or rows at other distances; repeatable",
    )
    parser.add_argument(
        "--stale-after",
        type=positive,
        default=5.0,
        metavar="ROWS",
        help="warn if more rows could have come since the newest one (default: 5)",
    )
    add_import_options(parser, "allow")
    parser.set_defaults(do=act)


def _add_holdings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--held",
        type=a_path,
        metavar="FILE",
        help="CSV of asset,weight or asset,shares, or earlier weights: say what to trade",
    )
    parser.add_argument(
        "--capital", type=positive, metavar="MONEY", help="all of the wealth, cash included"
    )
    parser.add_argument(
        "--lot", type=positive, default=1.0, metavar="SHARES", help="of a trade (default: 1)"
    )
    parser.add_argument(
        "--trades", type=a_path, metavar="FILE", help="write the trades as CSV, too"
    )


def _add_journal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--journal",
        type=a_path,
        metavar="FILE",
        help="append what is said, to be judged later (default with --judge: RUN's name.jsonl)",
    )
    parser.add_argument(
        "--judge",
        action="store_true",
        help="judge what the journal has by the prices that came since, beside what was promised",
    )


def act(options: argparse.Namespace) -> int:
    """Say what the policy of a run would hold."""
    from datetime import UTC, datetime

    from psann._whole_file import is_stream
    from psann.errors import counted
    from psann.run.acting.holdings_file import read_held
    from psann.run.acting.trades import weights_held
    from psann.run.acting.weights_file import check_weights_output, csv_bytes, write_weights

    _check(options)
    is_stdout = options.output == "-"
    written = [Path(options.output), *filter(None, [options.trades])]
    # A table that goes to standard output, by whatever name, is all that is written there.
    beside = sys.stderr if is_stdout or any(map(is_stream, written)) else None
    if not is_stdout:
        check_weights_output(Path(options.output), options.run)
    # Only now: that brings torch.
    policy = _policy(options.run, options)
    now = datetime.now(UTC)
    act = partial(
        policy.act,
        options.data,
        since=options.since,
        reading=reading_options(options.set),
        accept=options.accept,
        now=now,
        stale_after=options.stale_after,
    )
    weights = with_foreign_code(act)
    held = None if options.held is None else read_held(options.held, weights)
    if held is not None and policy.decides_by_held:
        owned = weights_held(held, weights, options.capital)[0]
        weights = with_foreign_code(partial(act, held=owned))
    lines = _trades(options, policy, weights, held)
    judged = _judge(options, policy, weights, now)
    for warning in weights.provenance.warnings:
        tell(f"warning: {warning}", file=sys.stderr)
    shown = weights.last() if options.last else weights
    if is_stdout:
        _show(csv_bytes(shown).decode())
    else:
        path = write_weights(shown, Path(options.output))
        rows = f"{counted(len(shown), 'row')} to {shown.labels[-1]}, {len(shown.assets)} assets"
        delay = policy.config.hisso.delay
        late = f", to be executed {counted(delay, 'row')} later" if delay else ""
        tell(f"{path}: {rows}{late}", file=beside)
    for line in [*lines, *judged]:
        tell(line, file=beside)
    return EXIT_CLEAN


def _policy(path: Path, options: argparse.Namespace) -> Policy:
    """The policy of a run, or of the run that a sweep chose."""
    from psann.run.acting.policy import load_policy
    from psann.run.sweep.reading import read_sweep, winner_of

    allow = tuple(options.allow_import)
    sweep = read_sweep(path)
    run, judge = (path, None) if sweep is None else (winner_of(sweep), sweep.paths.chosen)
    return with_foreign_code(
        lambda: load_policy(run, policy=options.policy, allow=allow, judged_by=judge)
    )


def _show(text: str) -> None:
    """Write a table; names of a stranger's assets shall not move anybody's cursor."""
    from psann._text import escape_controls

    if sys.stdout.isatty():
        text = "".join(f"{escape_controls(line)}\n" for line in text.split("\n")[:-1])
    sys.stdout.write(text)


def _check(options: argparse.Namespace) -> None:
    """Refuse options that say nothing without another."""
    from psann.errors import UsageError
    from psann.run.directory.paths import check_directory, check_output

    check_directory(options.run)
    if options.held is None and (options.capital is not None or options.trades is not None):
        raise UsageError("--capital and --trades need --held, what is held now.")
    for option in ("trades", "journal"):
        if (path := getattr(options, option)) is not None:
            check_output(path, options.run, option=f"--{option}")


def _trades(
    options: argparse.Namespace, policy: Policy, weights: Weights, held: Held | None
) -> list[str]:
    """What to trade, as lines of a table."""
    if held is None:
        return []
    from psann._whole_file import write_whole
    from psann.run.acting.trades import lines_of, trades_csv, trades_of

    terms = policy.terms_on(weights.arrays).on_rows([-1])
    trades = trades_of(
        weights,
        held,
        trans_cost=terms.trans_cost,
        capital=options.capital,
        lot=options.lot,
        max_turnover=terms.max_turnover,
    )
    if options.trades is not None:
        write_whole(options.trades, trades_csv(trades))
    return lines_of(trades)


def _judge(
    options: argparse.Namespace, policy: Policy, weights: Weights, now: datetime
) -> list[str]:
    """Keep the journal, and say what came of it."""
    path = options.journal
    if path is None:
        if not options.judge:
            return []
        path = Path(f"{policy.kept.run_name}.jsonl")
    from psann.run.acting.journal import append, keep
    from psann.run.acting.promise import judge_journal

    journal, differences = keep(path, weights, now=now, sees_held=policy.sees_held)
    lines = [f"warning: {text}" for text in differences]
    if not options.judge:
        return lines
    promises = with_foreign_code(
        lambda: policy.promises(
            options.data, reading=reading_options(options.set), accept=options.accept
        )
    )
    terms = policy.terms_on(weights.arrays)
    verdict = judge_journal(journal, weights, terms=terms, promises=promises)
    judged_utc = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    append(path, [{**verdict.line, "judged_utc": judged_utc}], before=journal.last_sha256)
    return [*lines, *verdict.sentences]


def add_export(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    """Add `export`."""
    parser = subparsers.add_parser(
        "export",
        help="write runs for TensorBoard, MLflow, or as tables; or a policy as a program",
        description="Write runs for other tools, every value of every epoch, by their own "
        "libraries (pip install 'psann[export]'; CSV needs none). With torch-export or onnx, write "
        "the policy of one run as a program that runs without psann (ONNX: 'psann[onnx]').",
    )
    parser.add_argument(
        "paths", type=a_path, nargs="+", metavar="RUN", help="or a directory of runs"
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=("csv", "mlflow", *_PROGRAMS[:1], "parquet", "tensorboard", *_PROGRAMS[1:]),
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="D",
        help="a directory; for MLflow also the address of a tracking server; for a program its "
        "file (.pt2, .onnx)",
    )
    parser.add_argument(
        "--policy",
        choices=("best", "last_fold"),
        default="best",
        help="of a program: the best epoch's weights, or those of the last fold",
    )
    add_import_options(parser, "allow")
    parser.set_defaults(do=export)


def export(options: argparse.Namespace) -> int:
    """Write runs for another tool, or a policy as a program."""
    if options.to in _PROGRAMS:
        return _export_program(options)
    from psann.run.reading.compare import chosen_runs
    from psann.run.reading.comparison import names_of
    from psann.run.reading.export import export

    runs = chosen_runs(options.paths)
    name_of = names_of(runs)
    named = [(name_of(run), run) for run in runs]
    for text in export(named, to=options.to, output=options.output):
        tell(text)
    return EXIT_CLEAN


def _export_program(options: argparse.Namespace) -> int:
    from psann._whole_file import is_stream
    from psann.errors import UsageError
    from psann.run.acting.programs import check_program_output, export_policy

    if len(options.paths) != 1:
        raise UsageError(f"--to {options.to} writes the policy of one RUN; got several.")
    (run,), output = options.paths, Path(options.output)
    check_program_output(output, options.to, run)
    policy = _policy(run, options)
    path = with_foreign_code(lambda: export_policy(policy, output, to=options.to))
    if not is_stream(path):
        tell(f"{path}: {path.stat().st_size:,} bytes, the policy of {policy.kept.run_name}")
    return EXIT_CLEAN
