"""Look after runs: list them, and check what they promise.

python -m psann.scripts.hisso_runs ls [DIR] [--where CONDITION] [--sort NAME] [--json | --csv]
python -m psann.scripts.hisso_runs show RUN [--json]
python -m psann.scripts.hisso_runs status RUN [--watch]
python -m psann.scripts.hisso_runs compare RUN RUN ...
python -m psann.scripts.hisso_runs verify RUN_DIR [--replay K] [--key FILE]
python -m psann.scripts.hisso_runs seal RUN [--key FILE]
python -m psann.scripts.hisso_runs report RUN [RUN ...] [-o report.html] [--format markdown]
python -m psann.scripts.hisso_runs pack RUN [-o FILE] [--best-only]
python -m psann.scripts.hisso_runs unpack ARCHIVE [--output-dir D]
python -m psann.scripts.hisso_runs export RUN ... --to tensorboard|mlflow|csv|parquet -o D
python -m psann.scripts.hisso_runs torture CONFIG --kills N [--seed S] [--output-dir D]
"""

from __future__ import annotations

import sys

try:
    import argparse
    from collections.abc import Sequence
    from contextlib import ExitStack
    from pathlib import Path
    from typing import TYPE_CHECKING, TextIO

    from psann.scripts.hisso_log_run import CommandParser, add_import_options
except KeyboardInterrupt:  # pressed at once: `main` is not there yet
    sys.stderr.write("interrupted\n")
    sys.exit(130)

if TYPE_CHECKING:
    from psann.run.verification.torture import Certificate

EXIT_CLEAN, EXIT_FINDINGS, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

_EPILOG = """\
exit codes:
  0 clean   1 findings   2 bad command line   130 interrupted
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line, as `--help` shows it: each subcommand names the function that does it."""
    parser = CommandParser(
        prog="hisso-runs",
        description="Look after the directories that hisso-log-run leaves.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_ls(commands)
    _add_show(commands)
    _add_status(commands)
    _add_compare(commands)
    _add_verify(commands)
    _add_seal(commands)
    _add_report(commands)
    _add_pack(commands)
    _add_unpack(commands)
    _add_export(commands)
    _add_torture(commands)
    return parser


def _add_ls(commands: argparse._SubParsersAction[CommandParser]) -> None:
    parser = commands.add_parser(
        "ls",
        help="list the runs below a directory",
        description="List every run at or below a directory, with its true status: a run that "
        "says it is running, and is not, is shown as dead (killed) or stale (an old copy).",
        allow_abbrev=False,
    )
    parser.add_argument("path", type=Path, nargs="?", default=Path(), metavar="DIR")
    parser.add_argument(
        "--where",
        metavar="CONDITION",
        help="""such as 'val_reward_mean>0 and device=="cpu"'; names are fields of metrics.json """
        "with dots, excess_growth (test log growth over 1/N), and config.KEY",
    )
    parser.add_argument("--sort", metavar="NAME", help="lowest first (default: by path)")
    parser.add_argument("--reverse", action="store_true", help="highest first")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="write JSON, with everything known")
    form.add_argument("--csv", action="store_true", help="write CSV, with everything known")
    parser.set_defaults(do=_ls)


def _add_show(commands: argparse._SubParsersAction[CommandParser]) -> None:
    parser = commands.add_parser(
        "show",
        help="show one run: numbers, baselines, curve, configuration, origin",
        description="Show what is known of a run, and what is missing or damaged.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(do=_show_run)


def _add_status(commands: argparse._SubParsersAction[CommandParser]) -> None:
    parser = commands.add_parser(
        "status",
        help="say how a run is doing, or watch it until it ends",
        description="Say how a run is doing. The exit code is 1 for a run that failed, diverged, "
        "was killed, or has no readable record.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="look again until the run ends; only files are read, so that the folder may be "
        "mounted or renewed by rsync",
    )
    parser.add_argument(
        "--every",
        type=_seconds,
        default=2.0,
        metavar="S",
        help="seconds between looks (default: 2)",
    )
    parser.set_defaults(do=_status)


def _add_compare(commands: argparse._SubParsersAction[CommandParser]) -> None:
    parser = commands.add_parser(
        "compare",
        help="show in what runs differ, and their numbers side by side",
        description="Show in which keys of the configuration runs differ, their numbers side by "
        "side with unit and direction, and their curves. Seeds of one configuration are gathered "
        "into mean and standard deviation.",
        allow_abbrev=False,
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="RUN", help="or a directory of runs")
    parser.set_defaults(do=_compare)


def _add_verify(commands: argparse._SubParsersAction[CommandParser]) -> None:
    parser = commands.add_parser(
        "verify",
        help="check everything that a run directory promises",
        description="Check everything that a run directory promises. Nothing in it is executed or "
        "changed, unless --replay asks to train again.",
        allow_abbrev=False,
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    parser.add_argument(
        "--replay",
        type=_count,
        metavar="K",
        help="train at least the last K epochs again in a scratch directory and compare bit by "
        "bit; this runs what the configuration names, of psann or under --allow-import",
    )
    add_import_options(parser, "allow")
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="the run must be sealed with the key in this file"
    )
    parser.set_defaults(do=_verify)


def _add_seal(commands: argparse._SubParsersAction[CommandParser]) -> None:
    parser = commands.add_parser(
        "seal",
        help="write a digest of the record, by which verify notices every change",
        description="Write seal.json: a digest of metrics.json, which has those of all other "
        "files. It shows damage and slips; with a key, also that nobody without it wrote them.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--key", type=Path, metavar="FILE", help="a secret of 16 bytes or more")
    parser.set_defaults(do=_seal)


def _add_pack(commands: argparse._SubParsersAction[CommandParser]) -> None:
    parser = commands.add_parser(
        "pack",
        help="write a run as one file",
        description="Write a run as one archive with checksums, the same bytes for the same run.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: RUN.tar.gz, here"
    )
    parser.add_argument(
        "--best-only",
        action="store_true",
        help="of the checkpoints, pack the best estimator only; leave out attempts/",
    )
    parser.set_defaults(do=_pack)


def _add_unpack(commands: argparse._SubParsersAction[CommandParser]) -> None:
    parser = commands.add_parser(
        "unpack",
        help="write the run directory that an archive holds",
        description="Write the run directory that an archive holds, if every file in it is what "
        "its list of checksums says. Nothing is written outside the new directory.",
        allow_abbrev=False,
    )
    parser.add_argument("archive", type=Path, metavar="ARCHIVE")
    parser.add_argument(
        "--output-dir", type=Path, default=Path(), metavar="D", help="default: this directory"
    )
    parser.set_defaults(do=_unpack)


def _add_export(commands: argparse._SubParsersAction[CommandParser]) -> None:
    parser = commands.add_parser(
        "export",
        help="write runs for TensorBoard, MLflow, or as CSV or Parquet tables",
        description="Write runs for other tools, every value of every epoch, by their own "
        "libraries (pip install 'psann[export]'; CSV needs none).",
        allow_abbrev=False,
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="RUN", help="or a directory of runs")
    # Written out: the module that has them loads what --help must not wait for.
    parser.add_argument("--to", required=True, choices=("csv", "mlflow", "parquet", "tensorboard"))
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="D",
        help="a directory; for MLflow also the address of a tracking server",
    )
    parser.set_defaults(do=_export)


def _add_torture(commands: argparse._SubParsersAction[CommandParser]) -> None:
    parser = commands.add_parser(
        "torture",
        help="prove for a configuration that kill -9 loses nothing",
        description="Run a configuration once in peace and once under kill -9 at random instants, "
        "verified after each and resumed; at the end both must be the same to the bit.",
        allow_abbrev=False,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG")
    parser.add_argument(
        "--kills", type=_count, required=True, metavar="N", help="kills that must land"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="of the random instants (default: 0)"
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        metavar="D",
        help="new directory that keeps the runs and certificate.json (default: none are kept)",
    )
    parser.set_defaults(do=_torture)


def _add_report(commands: argparse._SubParsersAction[CommandParser]) -> None:
    parser = commands.add_parser(
        "report",
        help="write a page about one run, or a comparison of several",
        description="Write one HTML page that needs no network and no scripts, or markdown with "
        "pictures. Only the files of the runs are read, whatever state they are in.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "paths", type=Path, nargs="+", metavar="RUN", help="a run directory, or one of runs"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="the file (default: report.html or report.md); replaced if it is there",
    )
    parser.add_argument(
        "--format", choices=("html", "markdown"), default="html", help="default: html"
    )
    parser.set_defaults(do=_report)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1; got {text[:80]!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"must be 0.1 to 86400 seconds; got {text[:80]!r}")
    return seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        return _main(argv)
    except KeyboardInterrupt:  # silent, as it is the way out of --watch
        return EXIT_INTERRUPTED


def _main(argv: Sequence[str] | None) -> int:
    options = build_parser().parse_args(argv)
    # After the command line is known to be right: the commands bring pydantic.
    from psann.errors import PsannError, UsageError

    try:
        code: int = options.do(options)
        return code
    except UsageError as error:
        _show(f"hisso-runs: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (PsannError, OSError) as error:
        _show(f"hisso-runs: {error}", file=sys.stderr)
        return EXIT_FINDINGS


def _ls(options: argparse.Namespace) -> int:
    from psann.run.reading.listing import list_runs, show_table, to_csv_text, to_json_text
    from psann.run.reading.reading import read_runs
    from psann.run.terminal import Terminal

    listing = list_runs(
        read_runs(options.path), where=options.where, sort=options.sort, reverse=options.reverse
    )
    terminal = Terminal()
    if options.json:
        terminal.raw(to_json_text(listing))
    elif options.csv:
        terminal.raw(to_csv_text(listing))
    else:
        show_table(listing, terminal)
    return EXIT_CLEAN


def _show_run(options: argparse.Namespace) -> int:
    from psann.run.reading.reading import read_run
    from psann.run.reading.showing import show_run, to_json_text
    from psann.run.terminal import Terminal

    run, terminal = read_run(options.run), Terminal()
    if options.json:
        terminal.raw(to_json_text(run))
    else:
        show_run(run, terminal)
    return EXIT_CLEAN


def _status(options: argparse.Namespace) -> int:
    from psann.run.reading.showing import BAD_ENDINGS, show_status
    from psann.run.terminal import Terminal

    every_s = options.every if options.watch else None
    run = show_status(options.run, Terminal(), every_s=every_s)
    return EXIT_FINDINGS if run.status in BAD_ENDINGS else EXIT_CLEAN


def _compare(options: argparse.Namespace) -> int:
    from psann.run.reading.compare import chosen_runs, show_comparison
    from psann.run.terminal import Terminal

    show_comparison(chosen_runs(options.paths), Terminal())
    return EXIT_CLEAN


def _verify(options: argparse.Namespace) -> int:
    from psann.run.verification.seal import problem_of_seal, read_key
    from psann.run.verification.verify import verify_run

    key = read_key(options.key)
    verdict = verify_run(options.run_dir)
    for finding in verdict.findings:
        _show(str(finding))
    n_errors, n_notes = len(verdict.errors), len(verdict.findings) - len(verdict.errors)
    if problem := problem_of_seal(options.run_dir, key=key):
        _show(f"error: seal.json: {problem}")
        n_errors += 1
    status = "no readable status" if verdict.status is None else verdict.status
    counts = f"{verdict.n_files} files, {n_errors} errors, {n_notes} notes"
    _show(f"{options.run_dir}: {status}, {counts}")
    if n_errors:
        return EXIT_FINDINGS
    return EXIT_CLEAN if options.replay is None else _replay(options)


def _seal(options: argparse.Namespace) -> int:
    from psann.run.verification.seal import read_key, seal

    _show(f"{seal(options.run, key=read_key(options.key))}: sealed")
    return EXIT_CLEAN


def _replay(options: argparse.Namespace) -> int:
    from psann.run.verification.replay import replay

    repetition = replay(
        options.run_dir, last_epochs=options.replay, allow_import=options.allow_import
    )
    differences = repetition.differences
    for text in differences:
        _show(f"difference: {text}")
    n_found = f"{len(differences)} differences" if differences else "the same bits"
    _show(f"replay: trained again from {repetition.begun_from}: {n_found}")
    return EXIT_FINDINGS if differences else EXIT_CLEAN


def _report(options: argparse.Namespace) -> int:
    from psann.run.reading.compare import chosen_runs
    from psann.run.report.page import write_report

    default = Path("report.html" if options.format == "html" else "report.md")
    output = default if options.output is None else options.output
    runs = chosen_runs(options.paths)
    report, *pictures = write_report(runs, output, format=options.format)
    beside = f" and {len(pictures)} pictures in {pictures[0].parent}" if pictures else ""
    _show(f"{report}: {report.stat().st_size:,} bytes{beside}")
    return EXIT_CLEAN


def _pack(options: argparse.Namespace) -> int:
    from psann.run.reading.archive import pack

    output = options.output
    if output is None:
        output = Path(f"{options.run.resolve().name}.tar.gz")
    done = pack(options.run, output, best_only=options.best_only)
    _show(f"{done.path}: {done.n_files} files of {done.n_bytes:,} bytes")
    for name in done.left_out:
        _show(f"left out: {name}")
    for name in done.skipped:
        _show(f"not packed, as it is no file of a run: {name}", file=sys.stderr)
    return EXIT_CLEAN


def _unpack(options: argparse.Namespace) -> int:
    from psann.run.reading.archive import unpack

    done = unpack(options.archive, options.output_dir)
    _show(f"{done.path}: {done.n_files} files of {done.n_bytes:,} bytes, all as they were packed")
    return EXIT_CLEAN


def _export(options: argparse.Namespace) -> int:
    from psann.run.reading.compare import chosen_runs
    from psann.run.reading.comparison import names_of
    from psann.run.reading.export import export

    runs = chosen_runs(options.paths)
    name_of = names_of(runs)
    named = [(name_of(run), run) for run in runs]
    for text in export(named, to=options.to, output=options.output):
        _show(text)
    return EXIT_CLEAN


def _torture(options: argparse.Namespace) -> int:
    import tempfile

    from psann.run.verification.torture import CERTIFICATE, torture

    with ExitStack() as until_done:
        folder = options.output_dir
        if folder is None:
            scratch = tempfile.TemporaryDirectory(prefix="psann-torture-")
            folder = Path(until_done.enter_context(scratch))
        certificate = torture(
            options.config,
            kills=options.kills,
            seed=options.seed,
            folder=folder,
            tell=lambda text: _show(text, file=sys.stderr),
        )
    _show_certificate(certificate)
    if options.output_dir is not None:
        _show(f"  written to       {options.output_dir / CERTIFICATE}")
    return EXIT_CLEAN if certificate.is_clean else EXIT_FINDINGS


def _show_certificate(certificate: Certificate) -> None:
    run = certificate.run
    lines = {
        "configuration": f"{certificate.config} (sha256 {run['config_sha256'][:16]}...)",
        "instants by seed": certificate.seed,
        "kills that landed": f"{certificate.kills_landed} of {certificate.kills_asked}",
        "resumes": f"{certificate.resumes} in {certificate.runs_compared} runs",
        "artefacts checked": certificate.artefacts_checked,
        "errors found": len(certificate.findings),
        "differences found": len(certificate.differences),
        "took": f"{certificate.duration_s:.0f} s",
    }
    _show("clean" if certificate.is_clean else "NOT CLEAN")
    for name, value in lines.items():
        _show(f"  {name:<18} {value}")
    for text in [*certificate.findings, *certificate.differences]:
        _show(f"  {text}")


def _show(text: str, *, file: TextIO | None = None) -> None:
    """Print a line or more; a file name may hold anything, and shall neither leak nor draw."""
    from psann._text import escape_controls, mask_secrets

    for line in mask_secrets(text).split("\n"):  # a private key has many lines
        print(escape_controls(line), file=file, flush=True)


if __name__ == "__main__":
    sys.exit(main())
