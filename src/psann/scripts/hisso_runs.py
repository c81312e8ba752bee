"""Look after runs: list them, and check what they promise."""

from __future__ import annotations

import sys

try:
    import argparse
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from psann._process import fill_standard_descriptors
    from psann.scripts import acting, commands, sweeping
    from psann.scripts.hisso_log_run import (
        CommandParser,
        a_path,
        add_import_options,
        whole_number,
        written_whole,
    )
except KeyboardInterrupt:  # pressed at once: `main` is not there yet
    sys.stderr.write("interrupted\n")
    sys.exit(130)

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
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_ls(subparsers)
    _add_show(subparsers)
    _add_status(subparsers)
    _add_compare(subparsers)
    _add_verify(subparsers)
    _add_seal(subparsers)
    _add_report(subparsers)
    _add_pack(subparsers)
    _add_unpack(subparsers)
    acting.add_act(subparsers)
    acting.add_export(subparsers)
    _add_torture(subparsers)
    _add_prices(subparsers)
    sweeping.add_sweep(subparsers)
    return parser


def _add_ls(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    parser = subparsers.add_parser(
        "ls",
        help="list the runs below a directory",
        description="List every run at or below a directory, with its true status: a run that "
        "says it is running, and is not, is shown as dead (killed) or stale (an old copy).",
    )
    parser.add_argument("path", type=a_path, nargs="?", default=Path(), metavar="DIR")
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
    parser.set_defaults(do=commands.ls)


def _add_show(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    parser = subparsers.add_parser(
        "show",
        help="show one run: numbers, baselines, curve, configuration, origin",
        description="Show what is known of a run, and what is missing or damaged.",
    )
    parser.add_argument("run", type=a_path, metavar="RUN")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(do=commands.show)


def _add_status(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    parser = subparsers.add_parser(
        "status",
        help="say how a run is doing, or watch it until it ends",
        description="Say how a run is doing. The exit code is 1 for a run that failed, diverged, "
        "was killed, or has no readable record.",
    )
    parser.add_argument("run", type=a_path, metavar="RUN")
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
    parser.set_defaults(do=commands.status)


def _add_compare(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    parser = subparsers.add_parser(
        "compare",
        help="show in what runs differ, and their numbers side by side",
        description="Show in which keys of the configuration runs differ, their numbers side by "
        "side with unit and direction, and their curves. Seeds of one configuration are gathered "
        "into mean and standard deviation.",
    )
    parser.add_argument(
        "paths", type=a_path, nargs="+", metavar="RUN", help="or a directory of runs"
    )
    parser.set_defaults(do=commands.compare)


def _add_verify(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    parser = subparsers.add_parser(
        "verify",
        help="check everything that a run directory promises",
        description="Check everything that a run directory promises. Nothing in it is executed or "
        "changed, unless --replay asks to train again.",
    )
    parser.add_argument("run_dir", type=a_path, metavar="RUN_DIR")
    parser.add_argument(
        "--replay",
        type=whole_number(1, 10**9),
        metavar="K",
        help="train at least the last K epochs again in a scratch directory and compare bit by "
        "bit; this runs what the configuration names, of psann or under --allow-import",
    )
    add_import_options(parser, "allow")
    parser.add_argument(
        "--key", type=a_path, metavar="FILE", help="the run must be sealed with this key"
    )
    parser.add_argument(
        "--weights",
        type=a_path,
        metavar="FILE",
        help="hold a file of hisso-runs act against the run, too",
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="of --weights: what they were computed from, to compute them again",
    )
    parser.set_defaults(do=commands.verify)


def _add_seal(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    parser = subparsers.add_parser(
        "seal",
        help="write a digest of the record, by which verify notices every change",
        description="Write seal.json: a digest of metrics.json, which has those of all other "
        "files. It shows damage and slips; with a key, also that nobody without it wrote them.",
    )
    parser.add_argument("run", type=a_path, metavar="RUN")
    parser.add_argument("--key", type=a_path, metavar="FILE", help="a secret of 16 bytes or more")
    parser.set_defaults(do=commands.seal)


def _add_pack(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    parser = subparsers.add_parser(
        "pack",
        help="write a run as one file",
        description="Write a run as one archive with checksums, the same bytes for the same run.",
    )
    parser.add_argument("run", type=a_path, metavar="RUN")
    parser.add_argument(
        "-o", "--output", type=a_path, metavar="FILE", help="default: RUN.tar.gz, here"
    )
    parser.add_argument(
        "--best-only",
        action="store_true",
        help="of the checkpoints, pack the best estimator only; leave out attempts/",
    )
    parser.set_defaults(do=commands.pack)


def _add_unpack(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    parser = subparsers.add_parser(
        "unpack",
        help="write the run directory that an archive holds",
        description="Write the run directory that an archive holds, if every file in it is what "
        "its list of checksums says. Nothing is written outside the new directory.",
    )
    parser.add_argument("archive", type=a_path, metavar="ARCHIVE")
    parser.add_argument(
        "--output-dir", type=a_path, default=Path(), metavar="D", help="default: this directory"
    )
    parser.set_defaults(do=commands.unpack)


def _add_torture(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    parser = subparsers.add_parser(
        "torture",
        help="prove for a configuration that kill -9 loses nothing",
        description="Run a configuration once in peace and once under kill -9 at random instants, "
        "verified after each and resumed; at the end both must be the same to the bit.",
    )
    parser.add_argument("config", type=a_path, metavar="CONFIG")
    parser.add_argument(
        "--kills",
        type=whole_number(1, 10**9),
        required=True,
        metavar="N",
        help="kills that must land",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="of the random instants (default: 0)"
    )
    parser.add_argument(
        "--output-dir",
        type=a_path,
        metavar="D",
        help="new directory that keeps the runs and certificate.json (default: none are kept)",
    )
    parser.set_defaults(do=commands.torture)


def _add_report(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    parser = subparsers.add_parser(
        "report",
        help="write a page about one run, or a comparison of several",
        description="Write one HTML page that needs no network and no scripts, or markdown with "
        "pictures. Only the files of the runs are read, whatever state they are in.",
    )
    parser.add_argument(
        "paths", type=a_path, nargs="+", metavar="RUN", help="a run directory, or one of runs"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=a_path,
        metavar="FILE",
        help="the file (default: report.html or report.md); replaced if it is there",
    )
    parser.add_argument(
        "--format", choices=("html", "markdown"), help="default: markdown for a .md file, else html"
    )
    parser.set_defaults(do=commands.report)


def _add_prices(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    parser = subparsers.add_parser(
        "prices",
        help="look at a table of prices, and write a configuration to start from",
        description="Say what is understood of a table of prices, draw it, and write a "
        "configuration that trains on it. What can be read in two ways is asked, with the option "
        "that settles it.",
    )
    parser.add_argument(
        "file", type=a_path, metavar="FILE", help="csv, tsv (.gz), parquet, feather"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="how to read it, in YAML syntax, such as price='Adj Close'; repeatable",
    )
    parser.add_argument(
        "--output-dir",
        type=a_path,
        default=Path(),
        metavar="D",
        help="where NAME.yaml and NAME.svg go (default: here); a configuration that is there stays",
    )
    parser.set_defaults(do=commands.prices)


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
    fill_standard_descriptors()
    try:
        return _main(argv)
    except KeyboardInterrupt:  # silent, as it is the way out of --watch
        return commands.EXIT_INTERRUPTED


def _main(argv: Sequence[str] | None) -> int:
    options = build_parser().parse_args(argv)
    # As in the other command. After the command line is known to be right: what follows brings
    # pydantic.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    from psann.errors import PsannError, UsageError, file_and_reason, memory_story

    try:
        return written_whole("hisso-runs", lambda: options.do(options))
    except UsageError as error:
        commands.tell(f"hisso-runs: {error}", file=sys.stderr)
        return commands.EXIT_USAGE
    except (PsannError, OSError) as error:
        commands.tell(f"hisso-runs: {file_and_reason(error)}", file=sys.stderr)
    except MemoryError as error:
        commands.tell(f"hisso-runs: {memory_story(error)}.", file=sys.stderr)
    return commands.EXIT_FINDINGS


if __name__ == "__main__":
    sys.exit(main())
