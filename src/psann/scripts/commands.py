"""What each subcommand of `hisso-runs` does; what it needs is imported when it is called."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from psann.errors import counted

if TYPE_CHECKING:
    from psann.run.directory.findings import Finding
    from psann.run.verification.torture import Certificate

EXIT_CLEAN, EXIT_FINDINGS, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def ls(options: argparse.Namespace) -> int:
    """List runs."""
    from psann._terminal import Terminal
    from psann.run.reading.listing import list_runs, show_table, to_csv_text, to_json_text
    from psann.run.reading.reading import read_runs
    from psann.scripts._sweep_folder import show_if_sweep

    is_plain = not (options.json or options.csv or options.where or options.sort or options.reverse)
    if is_plain and show_if_sweep([options.path]):
        return EXIT_CLEAN
    listing = list_runs(
        read_runs(options.path), where=options.where, sort=options.sort, reverse=options.reverse
    )
    terminal = Terminal(is_product=True)
    if options.json:
        terminal.raw(to_json_text(listing))
    elif options.csv:
        terminal.raw(to_csv_text(listing))
    else:
        show_table(listing, terminal)
    return EXIT_CLEAN


def show(options: argparse.Namespace) -> int:
    """Show one run."""
    from psann._terminal import Terminal
    from psann.run.reading.reading import read_run
    from psann.run.reading.showing import show_run, to_json_text

    run, terminal = read_run(options.run), Terminal(is_product=True)
    if options.json:
        terminal.raw(to_json_text(run))
    else:
        show_run(run, terminal)
    return EXIT_CLEAN


def status(options: argparse.Namespace) -> int:
    """Say how a run is doing."""
    from psann._terminal import Terminal
    from psann.run.reading.showing import BAD_ENDINGS, show_status

    every_s = options.every if options.watch else None
    run = show_status(options.run, Terminal(is_product=True), every_s=every_s)
    return EXIT_FINDINGS if run.status in BAD_ENDINGS else EXIT_CLEAN


def compare(options: argparse.Namespace) -> int:
    """Compare runs."""
    from psann._terminal import Terminal
    from psann.run.reading.compare import chosen_runs, show_comparison
    from psann.scripts._sweep_folder import show_if_sweep

    if show_if_sweep(options.paths):
        return EXIT_CLEAN
    show_comparison(chosen_runs(options.paths), Terminal(is_product=True))
    return EXIT_CLEAN


def verify(options: argparse.Namespace) -> int:
    """Check what a run promises, and train its end again if asked."""
    from psann.run.verification.seal import problem_of_seal, read_key
    from psann.run.verification.verify import verify_run

    key = read_key(options.key)
    verdict = verify_run(options.run_dir)
    findings = [*verdict.findings, *_findings_of_weights(options)]
    for finding in findings:
        tell(str(finding))
    n_errors = sum(finding.is_error for finding in findings)
    n_notes = len(findings) - n_errors
    if problem := problem_of_seal(options.run_dir, key=key):
        tell(f"error: seal.json: {problem}")
        n_errors += 1
    status = "no readable status" if verdict.status is None else verdict.status
    found = ((verdict.n_files, "file"), (n_errors, "error"), (n_notes, "note"))
    counts = ", ".join(counted(n, noun) for n, noun in found)
    tell(f"{options.run_dir}: {status}, {counts}")
    if n_errors:
        return EXIT_FINDINGS
    return EXIT_CLEAN if options.replay is None else _replay(options)


def _findings_of_weights(options: argparse.Namespace) -> list[Finding]:
    from psann.errors import UsageError

    if options.weights is None:
        if options.data is not None:
            raise UsageError("--data needs --weights, which were computed from it.")
        return []
    from psann.run.acting.verify_weights import verify_weights
    from psann.scripts._foreign_code import with_foreign_code

    allow = tuple(options.allow_import)
    return with_foreign_code(
        lambda: verify_weights(options.run_dir, options.weights, data=options.data, allow=allow)
    )


def seal(options: argparse.Namespace) -> int:
    """Write a digest of a run's record, by which `verify` notices every change."""
    from psann.run.verification.seal import read_key, seal

    tell(f"{seal(options.run, key=read_key(options.key))}: sealed")
    return EXIT_CLEAN


def _replay(options: argparse.Namespace) -> int:
    from psann.run.verification.replay import replay

    repetition = replay(
        options.run_dir, last_epochs=options.replay, allow_import=options.allow_import
    )
    if repetition.failure:
        tell(
            f"replay: nothing to compare, begun from {repetition.begun_from}: {repetition.failure}"
        )
        return EXIT_FINDINGS
    differences = repetition.differences
    for text in differences:
        tell(f"difference: {text}")
    n_found = counted(len(differences), "difference") if differences else "the same bits"
    tell(f"replay: trained again from {repetition.begun_from}: {n_found}")
    return EXIT_FINDINGS if differences else EXIT_CLEAN


def report(options: argparse.Namespace) -> int:
    """Write a report."""
    from psann._whole_file import is_stream
    from psann.run.reading.compare import chosen_runs
    from psann.run.report.page import write_report
    from psann.scripts._sweep_folder import report_if_sweep

    default = Path("report.md" if options.format == "markdown" else "report.html")
    output = default if options.output is None else options.output
    form = options.format or ("markdown" if output.suffix == ".md" else "html")
    written = report_if_sweep(options.paths, output, format=form)
    if written is None:
        written = write_report(chosen_runs(options.paths), output, format=form)
    report, *pictures = written
    if is_stream(report):
        return EXIT_CLEAN
    n_pictures = counted(len(pictures), "picture")
    beside = f" and {n_pictures} in {pictures[0].parent}" if pictures else ""
    tell(f"{report}: {report.stat().st_size:,} bytes{beside}")
    return EXIT_CLEAN


def pack(options: argparse.Namespace) -> int:
    """Write a run as one archive."""
    from psann.run.reading.archive import pack

    output = options.output
    if output is None:
        output = Path(f"{options.run.resolve().name}.tar.gz")
    done = pack(options.run, output, best_only=options.best_only)
    tell(f"{done.path}: {done.n_files} files of {done.n_bytes:,} bytes")
    for name in done.left_out:
        tell(f"left out: {name}")
    for name in done.skipped:
        tell(f"not packed, as it is no file of a run: {name}", file=sys.stderr)
    return EXIT_CLEAN


def unpack(options: argparse.Namespace) -> int:
    """Write the run that an archive holds."""
    from psann.run.reading.archive import unpack

    done = unpack(options.archive, options.output_dir)
    tell(f"{done.path}: {done.n_files} files of {done.n_bytes:,} bytes, all as they were packed")
    return EXIT_CLEAN


def torture(options: argparse.Namespace) -> int:
    """Kill a configuration again and again."""
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
            tell=lambda text: tell(text, file=sys.stderr),
        )
    _show_certificate(certificate)
    if options.output_dir is not None:
        tell(f"  written to       {options.output_dir / CERTIFICATE}")
    return EXIT_CLEAN if certificate.is_clean else EXIT_FINDINGS


def _show_certificate(certificate: Certificate) -> None:
    run: dict[str, str] = {name: str(value) for name, value in certificate.run.items()}
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
    tell("clean" if certificate.is_clean else "NOT CLEAN")
    for name, value in lines.items():
        tell(f"  {name:<18} {value}")
    for text in [*certificate.findings, *certificate.differences]:
        tell(f"  {text}")


def prices(options: argparse.Namespace) -> int:
    """Look at a table of prices, draw it, and write a configuration to start from."""
    from psann._paths import path_from
    from psann._whole_file import write_whole
    from psann.market import read_prices
    from psann.market.drawing import draw
    from psann.market.starter import describe, shortage, starter_config
    from psann.presentation.drawing import to_svg

    reading: dict[str, Any] = reading_options(options.set)
    table = read_prices(options.file, **reading)
    for line in describe(table).splitlines():
        tell(line)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    name = options.file.name.partition(".")[0]
    config = options.output_dir / f"{name}.yaml"
    tell("")
    if config.exists():
        tell(f"left as it was  {config}")
    elif missing := shortage(table):
        tell(f"no configuration: {missing}")
    else:
        source = path_from(options.output_dir, options.file)
        config.write_text(starter_config(table, source), encoding="utf-8")
        tell(f"wrote           {config}: hisso-log-run --config {config} --output-dir runs")
    picture = options.output_dir / f"{name}.svg"
    write_whole(picture, to_svg(draw(table), label=f"Prices of {name}"))
    tell(f"wrote           {picture}")
    return EXIT_CLEAN


def reading_options(given: Sequence[str]) -> dict[str, object]:
    """Options of `read_prices` as `--set KEY=VALUE` gives them.

    Raises
    ------
    UsageError
        If one is written otherwise, or is none.
    """
    from psann._strict_yaml import parse_value
    from psann.errors import UsageError, did_you_mean, known_here
    from psann.market import read_prices

    _, *known = inspect.signature(read_prices).parameters
    reading: dict[str, object] = {}
    problems = []
    for option in given:
        key, equals, value = option.partition("=")
        if not equals:
            problems.append(f"--set must be KEY=VALUE; got {option!r}.")
        elif key not in known:
            hint = did_you_mean(key, known) or known_here(known)
            problems.append(f"--set {option}: {key} says nothing on how a table is read.{hint}")
        else:
            reading[key] = parse_value(value, source=f"--set {option}")
    if problems:
        raise UsageError(problems)
    return reading


def tell(text: str, *, file: TextIO | None = None) -> None:
    """Print a line or more; a file name may hold anything, and shall neither leak nor draw."""
    from psann._terminal import flush
    from psann._text import escape_controls, mask_secrets

    for line in mask_secrets(text).split("\n"):  # a private key has many lines
        print(escape_controls(line), file=file)
    flush(sys.stdout if file is None else file)
