"""Train, fine-tune or evaluate a HISSO policy and leave files that can be believed.

python -m psann.scripts.hisso_log_run --config C --output-dir D [--run-name N] ...
"""

from __future__ import annotations

import sys

# Written out, as the run's modules may not be there yet when it is due.
_EXIT_INTERRUPTED = 130

try:
    import argparse
    import errno
    import io
    import os
    import signal
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TYPE_CHECKING, Any, NoReturn

    from psann._lean_imports import lasting_imports
    from psann._paths import given_path
    from psann._process import PREEMPT_SIGNALS, fill_standard_descriptors
    from psann.errors import did_you_mean, memory_story
except KeyboardInterrupt:  # pressed at once: `main` is not there yet
    sys.stderr.write("interrupted\n")
    sys.exit(_EXIT_INTERRUPTED)

if TYPE_CHECKING:
    from psann.run.execution.context import Outcome

_EPILOG = """\
exit codes:
  0 finished   1 failed   2 bad command line or existing run   3 diverged
  4 ruined   75 locked by a live process   130 interrupted
  143 preempted (see --preempt-exit-code)

docs/config.md has every key of a configuration, docs/artefacts.md every file
of a run.
"""


class CommandParser(argparse.ArgumentParser):
    """Takes words as they are written, and suggests the nearest one for a misspelt one."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and a message."""
        _, found, rest = message.partition("unrecognized arguments: ")
        if found:
            flags = self.flags()
            for word in rest.split():
                if word.startswith("--"):
                    message += did_you_mean(word.partition("=")[0], flags)
        _, found, rest = message.partition("invalid choice: '")
        if found:
            choices = (choice for action in self._actions for choice in action.choices or ())
            message += did_you_mean(rest.partition("'")[0], choices)
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {message}\n")

    def flags(self) -> list[str]:
        """Every flag, those of subcommands included."""
        found = [flag for action in self._actions for flag in action.option_strings]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [flag for parser in action.choices.values() for flag in parser.flags()]
        return found


def build_parser() -> argparse.ArgumentParser:
    """The command line, as `--help` shows it."""
    parser = CommandParser(
        prog="hisso-log-run",
        description="Train, fine-tune or evaluate a HISSO policy from one configuration.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config", required=True, type=a_path, metavar="FILE", help="YAML or JSON configuration")
    add(
        "--output-dir",
        type=a_path,
        metavar="DIR",
        help="where run directories go (required to run)",
    )
    add("--run-name", metavar="NAME", help="name of the run directory (default: config and time)")
    add("--device", metavar="DEV", help="cpu, cuda, cuda:N or auto; wins over the configuration")
    add(
        "--seed",
        type=whole_number(0, 2**32 - 1),
        metavar="S",
        help="wins over the configuration (default there: 42)",
    )
    add("--keep-checkpoints", action="store_true", help="keep about ten epochs, for --replay")
    add(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY.PATH=VALUE",
        help="override a key of the configuration, in YAML syntax (repeatable)",
    )
    add("--mode", choices=("train", "fine_tune", "evaluate"), help="wins over the configuration")
    add("--init-from", metavar="RUN", help="run directory or estimator file to start from")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume", action="store_true", help="go on with an interrupted run, exactly where it was"
    )
    existing.add_argument(
        "--overwrite", action="store_true", help="set an existing run of this name aside"
    )
    add("--check", action="store_true", help="validate everything, print the plan, write nothing")
    _add_ways_to_stop(parser)
    add_import_options(parser, "only", "allow")
    add("--profile", action="store_true", help="trace a few updates, show where the time goes")
    add("--quiet", action="store_true", help="show warnings and the last line only")
    return parser


def _add_ways_to_stop(parser: CommandParser) -> None:
    add = parser.add_argument
    add(
        "--max-time",
        type=positive,
        metavar="MINUTES",
        help="stop after so long, with the best weights kept",
    )
    add(
        "--preempt-exit-code",
        type=whole_number(0, 255),
        default=143,
        metavar="N",
        help="exit code after one of these signals or --max-time (default: 143)",
    )
    names = ",".join(each.name[3:] for each in PREEMPT_SIGNALS)
    add(
        "--preempt-signals",
        type=_signals,
        default=PREEMPT_SIGNALS,
        metavar="LIST",
        help=f"signals that stop a run for --resume (default: {names}); none is allowed",
    )


_IMPORTS = {
    "only": "import nothing else than psann and modules under PREFIX (repeatable)",
    "allow": "import installed modules under PREFIX too, and those that files name (repeatable)",
}


def add_import_options(parser: argparse.ArgumentParser, *kinds: str) -> None:
    """Add `--only-import` or `--allow-import`, by which a user says whose code may run."""
    for kind in kinds:
        parser.add_argument(
            f"--{kind}-import", action="append", default=[], metavar="PREFIX", help=_IMPORTS[kind]
        )


def a_path(text: str) -> Path:
    """A path of the command line; `--config=~/c.yaml` is one that no shell has filled in."""
    try:
        return given_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """What reads a whole number of the command line, of at least `low` and at most `high`."""

    def read(text: str) -> int:
        is_one = text.isascii() and text.isdecimal() and len(text) <= len(str(high))
        if not is_one or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {low} to {high}; got {text[:80]!r}"
            )
        return int(text)

    return read


def positive(text: str) -> float:
    """A finite number of the command line that is greater than 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.0 < number < float("inf"):
        raise argparse.ArgumentTypeError(
            f"must be a finite number greater than 0; got {text[:80]!r}"
        )
    return number


def _signals(text: str) -> tuple[signal.Signals, ...]:
    known = {each.name[3:]: each for each in PREEMPT_SIGNALS}
    words = [] if text == "none" else text.upper().replace("SIG", "").split(",")
    if unknown := [word for word in words if word not in known]:
        raise argparse.ArgumentTypeError(
            f"must be none, or a list from {','.join(known)}; got {unknown[0]!r} in {text!r}"
        )
    return tuple(known[word] for word in dict.fromkeys(words))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    fill_standard_descriptors()
    try:
        return _main(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:  # before or after the run, which has its own way with signals
        print("hisso-log-run: interrupted", file=sys.stderr)
        return _EXIT_INTERRUPTED
    except MemoryError as error:  # outside of what the run guards, or where none is left to guard
        print(f"hisso-log-run: {memory_story(error)}.", file=sys.stderr)
        return 1


def _main(arguments: Sequence[str]) -> int:
    parser = build_parser()
    options = parser.parse_args(arguments)
    _check_current_directory(parser)
    if options.output_dir is None and not options.check:
        parser.error("the following arguments are required: --output-dir")
    # After the command line is known to be right: these imports bring pydantic, without the search
    # through every installed package for plug-ins of it.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    # Read when torch loads OpenMP: its idle threads sleep. Left to spin, those of two runs at once
    # take the cores from each other.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if options.profile:  # torch's tracer would tell standard error when it starts and stops
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with lasting_imports("pydantic"):
        from psann._imports import ImportPolicy
        from psann.run.execution.context import RunRequest
        from psann.run.execution.runner import check, execute

    request = RunRequest(
        config=options.config,
        output_dir=Path(os.path.abspath(options.output_dir or ".")),
        run_name=options.run_name,
        device=options.device,
        seed=options.seed,
        mode=options.mode,
        init_from=options.init_from,
        overrides=tuple(options.overrides),
        imports=ImportPolicy(only=tuple(options.only_import), allow=tuple(options.allow_import)),
        keep_checkpoints=options.keep_checkpoints,
        resume=options.resume,
        overwrite=options.overwrite,
        max_time_minutes=options.max_time,
        preempt_exit_code=options.preempt_exit_code,
        preempt_signals=options.preempt_signals,
        profile=options.profile,
        quiet=options.quiet,
        argv=(parser.prog, *arguments),
    )
    is_placed = options.output_dir is not None
    outcome = check(request, is_placed=is_placed) if options.check else execute(request)
    return _report(outcome, quiet=options.quiet)


def _check_current_directory(parser: argparse.ArgumentParser) -> None:
    """Exit with code 2 where the current directory is gone: neither paths nor torch work there."""
    try:
        os.getcwd()
    except OSError as error:
        parser.exit(
            2,
            f"{parser.prog}: The current directory must exist; it cannot be found "
            f"({error.strerror}). It may have been deleted: cd to another one.\n",
        )


def _report(outcome: Outcome, *, quiet: bool) -> int:
    """Show how the command ended: the plan or the result on stdout, the trouble on stderr."""
    if (plan := outcome.plan) is not None:
        return written_whole("hisso-log-run", lambda: print(plan) or outcome.exit_code)
    record, paths = outcome.record, outcome.paths
    if outcome.message is not None:
        where = str(paths.metrics) if paths and record and record["error"] else ""
        _complain(outcome.message + (where and f"\nSee {where}, field error."))
    if paths and record and (outcome.exit_code == 0 or record["best"] is not None):
        from psann.run.reading.closing import show_result
        from psann.run.reading.reading import read_run

        show_result(read_run(paths.root), quiet=quiet)
        parts = (record["timing"] or {}).get("profile")
        if isinstance(parts, dict) and parts and not quiet:  # empty where nothing was traced
            from psann.training.profile import profile_table

            print(f"\n{profile_table(parts)}\n  trace: {paths.profile}")
    return outcome.exit_code


def written_whole(prog: str, write: Callable[[], int]) -> int:
    """Exit code of what writes a result to standard output: 1 if it cannot be written whole.

    A reader that has closed its end of a pipe, as head does, has all that it wants: 0.
    """
    from psann._terminal import flush

    if isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        # Python unbuffered (PYTHONUNBUFFERED, as many images have it) takes a write that the
        # system did in part for done.
        stream = sys.stdout
        sys.stdout = open(  # noqa: SIM115 (open to the end of the process)
            stream.fileno(), "w", 1, encoding=stream.encoding, errors=stream.errors, closefd=False
        )
    try:
        code = write()
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed")
        flush(sys.stdout)
        return code
    except BrokenPipeError:
        code = 0
    except OSError as error:
        if error.filename is not None:  # of a file, not of the output
            raise
        code = 1
        print(f"{prog}: Standard output takes no more: {error.strerror}.", file=sys.stderr)
    # What is left in the buffer, Python would try again when it ends.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    return code


def _complain(message: str) -> None:
    """Write to stderr; a message may quote anything, and shall neither leak nor draw."""
    from psann._text import escape_controls, mask_secrets

    lines = [escape_controls(line) for line in mask_secrets(message).split("\n")]
    separator = " " if len(lines) == 1 else "\n  "
    print("hisso-log-run:", *lines, sep=separator, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
