"""Whether a run directory is what it claims to be; everything is read, nothing executed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from psann._digest import is_entry, sha256_of
from psann._model_keys import later_keys
from psann.errors import ConfigError, FileFormatError
from psann.hisso.options import mean_cost
from psann.run.config.load import config_sha256, dump_resolved, load_run_config
from psann.run.config.model import RunConfig
from psann.run.data.requirements import split_of
from psann.run.directory.checkpoints import entries_of
from psann.run.directory.fields import Record, got_to_its_end
from psann.run.directory.findings import Verdict
from psann.run.directory.liveness import DEAD, judge
from psann.run.directory.lock import is_locked
from psann.run.directory.metrics import conformed
from psann.run.directory.packing import parse_list
from psann.run.directory.paths import RunPaths, check_directory
from psann.run.directory.provenance import starts_of, told_of_release
from psann.run.directory.storage import is_temporary
from psann.run.verification.files import RunFiles
from psann.run.verification.log import check_best, check_log
from psann.run.verification.record import problems_of_record, problems_of_withheld

# What no version of `metrics.json` can vouch for.
_UNLISTED = frozenset({"metrics.json", ".lock", ".lock.held", "packed.json", "seal.json"})


def verify_run(root: Path | str) -> Verdict:
    """Check everything that a run directory promises.

    Parameters
    ----------
    root : Path or str
        The run directory, finished, stopped, killed or alive.

    Returns
    -------
    Verdict
        Findings on metrics.json (strict JSON, fields, status), artefacts (bytes, sha256, nothing
        unlisted), checkpoints (digests, manifest), log (rows, epochs, best epoch), configuration.

    Raises
    ------
    UsageError
        If there is no directory.
    """
    check_directory(Path(root), "RUN_DIR")
    return _Inspection(RunPaths(Path(root))).verdict()


class _Inspection:
    """One look at one directory."""

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self.files = RunFiles(paths)
        self.error, self.note = self.files.error, self.files.note
        self.log_lengths: dict[str, int] = {}
        """Length of the log by the resume state that vouches for it."""
        self.states = {self.files.name(path) for path in paths.resume_states}

    def verdict(self) -> Verdict:
        metrics = self._metrics()
        if metrics is not None:
            self._check_packing()
            is_over = got_to_its_end(metrics)
            if is_over and self._is_torn_copy(metrics["artefacts"] or {}):
                is_over, metrics = False, {**metrics, "artefacts": None}
            self._check_liveness(metrics)
            self._check_manifest(metrics, is_over=is_over)
            self._check_tensors()
            log = self.files.read("events.csv")
            self._check_artefacts(metrics, log, is_over=is_over)
            self._check_log(metrics, log, is_over=is_over)
            config = self._check_config()
            self._check_settings(metrics, config)
            self._check_evaluation(metrics, config, is_over=is_over)
            self._check_provenance()
        status = None if metrics is None else metrics["status"]
        return Verdict(
            findings=tuple(self.files.findings), n_files=len(self.files.sizes), status=status
        )

    # --- metrics.json ----------------------------------------------------------------------------

    def _metrics(self) -> Record | None:
        """The record, None if nothing can be judged by it."""
        name = "metrics.json"
        if name not in self.files.sizes:
            if not any(each.file == "." for each in self.files.findings):  # it was not looked for
                self.error(name, "is missing: this is no run directory, or the run never began")
            return None
        metrics = self.files.json(name)
        if metrics is None:
            return None
        if problems := problems_of_record(metrics):
            for problem in problems:
                self.error(name, problem)
            return None
        record, problems = conformed(metrics)  # from here on every nested value is of its kind
        for problem in problems:
            self.error(name, problem.removeprefix(f"{name} ").rstrip("."))
        return record

    def _check_liveness(self, metrics: Record) -> None:
        is_alive = False
        try:
            is_alive = ".lock" in self.files.sizes and is_locked(self.paths.lock)
        except OSError as problem:
            self.error(".lock", f"cannot be opened: {problem.strerror}")
        if is_alive:
            self.note("metrics.json", f"status {metrics['status']}, and a live process works here")
        elif metrics["status"] == "running":
            told = judge(self.paths, metrics)
            cure = " --resume goes on with it" if told.status == DEAD else ""
            self.note("metrics.json", f"status running, but nobody works here. {told.reason}{cure}")

    def _check_packing(self) -> None:
        """Every file of a run that came by archive is the one that was packed."""
        name = self.files.name(self.paths.packing_list)
        data = self.files.read(name)
        if data is None:
            return
        try:
            packed = parse_list(data)
        except ValueError as problem:
            self.error(name, f"cannot be read: {problem}")
            return
        self.files.left_out = frozenset(packed.left_out) - self.files.sizes.keys()
        seal = self.files.name(self.paths.seal)  # may be made anew at home, and vouches for itself
        for file, entry in ((f, e) for f, e in packed.files.items() if f != seal):
            self.files.hold(file, entry, by=name, tell=self.error)
        if self.files.left_out:
            self.note(name, f"{len(self.files.left_out)} files of the run were not packed")

    # --- artefacts and checkpoints ---------------------------------------------------------------

    def _is_torn_copy(self, listed: Mapping[str, object]) -> bool:
        """Whether this is a copy that was made while the run ended: the record is the last file."""
        # The end removes the states that the record does not list: one that is here is older.
        if not (self.states & self.files.sizes.keys()) - listed.keys():
            return False
        n_findings = len(self.files.findings)
        for name, entry in listed.items():
            self._check_artefact(name, entry)
        is_torn = len(self.files.findings) > n_findings
        del self.files.findings[n_findings:]
        if is_torn:
            self.note("metrics.json", "tells of an end that other files lack; --resume goes on")
        return is_torn

    def _check_artefacts(self, metrics: Record, log: bytes | None, *, is_over: bool) -> None:
        """The last version of the record lists every file; before, only known names may be."""
        listed = metrics["artefacts"]
        if listed is None:
            if is_over:
                self.error("metrics.json", "must list its artefacts: the run has ended")
            listed = {}
        for name, entry in listed.items():
            if name == "events.csv" and not is_over and self._is_other_log(entry, log):
                continue
            self._check_artefact(name, entry)
        for name in self.files.sizes:
            if name not in listed:
                self._check_unlisted(name, is_over=is_over)

    def _check_artefact(self, name: str, entry: object) -> None:
        if is_entry(entry):
            self.files.hold(name, entry, by="metrics.json", tell=self.error)
        else:
            self.error("metrics.json", f"artefacts: {name!r} must have bytes and sha256")

    def _is_other_log(self, entry: object, log: bytes | None) -> bool:
        """Whether the log of a stopped run is as a resume left it that was killed as it began."""
        if log is None or not is_entry(entry):
            return False
        n_bytes = entry["bytes"]
        has_grown = (
            0 <= n_bytes < len(log) and sha256_of(memoryview(log)[:n_bytes]) == entry["sha256"]
        )
        is_cut_back = len(log) < n_bytes and len(log) in self.log_lengths.values()
        if has_grown or is_cut_back:
            self.note("events.csv", "a resume had begun to work on it when it was killed")
        return has_grown or is_cut_back

    def _check_unlisted(self, name: str, *, is_over: bool) -> None:
        if name in _UNLISTED or name.startswith("attempts/"):
            return
        if is_temporary(name.rpartition("/")[2]):
            self.note(name, "is a temporary file of a killed process; --resume removes it")
        elif is_over and name in self.states:
            self.note(name, "is left over: the run ended, and was killed before it could remove it")
        elif not self.paths.is_of_a_run(name):
            self.note(name, "is not ours: psann has not written it, and nothing vouches for it")
        elif is_over:
            self.error(name, "is no file of this run: metrics.json does not list it")

    def _check_manifest(self, metrics: Record, *, is_over: bool) -> None:
        """Entries match files; the manifest of an unfinished run may be one step old."""
        name = self.files.name(self.paths.manifest)
        content = self.files.json(name)
        tell = self.error if is_over else self.note
        found = {
            file
            for file in self.files.sizes
            if file.startswith("checkpoints/") and self.paths.is_of_a_run(file)
        } - {name}
        if content is None:
            if name not in self.files.sizes and found:
                tell(name, "is missing; there are checkpoints")
            return
        entries = entries_of(content)
        if entries is None:
            self.error(name, "must be of schema version 1 and list files")
            return
        for file, entry in entries.items():
            file = f"checkpoints/{file}"
            if isinstance(entry, dict) and isinstance(entry.get("sha256"), str):
                self.files.hold(file, entry, by="the manifest", tell=tell)
            else:
                self.error(name, f"{file!r} must have a sha256")
        if is_over:
            self._check_manifest_of_the_end(metrics, entries, found)

    def _check_manifest_of_the_end(
        self, metrics: Record, entries: Mapping[str, object], found: set[str]
    ) -> None:
        """Every checkpoint is listed, and the best one as the record has it."""
        for file in sorted(found - self.states - {f"checkpoints/{file}" for file in entries}):
            self.error(file, "is not in the manifest")
        entry = entries.get(self.paths.best.name)
        listed = entry if isinstance(entry, dict) else {}
        best = {"path": self.files.name(self.paths.best), **listed}
        if metrics["best"] not in (None, best):
            self.error("metrics.json", "best must be what the manifest says of it")

    def _check_tensors(self) -> None:
        """Estimators and resume states are whole by their own digest."""
        names = [name for name in self.files.sizes if _is_tensor_file(name)]
        if not names:
            return
        # Only here: most directories are refused before NumPy is needed.
        from psann._tensor_file import decode_arrays
        from psann.run.directory.resume_state import read_state

        for name in names:
            data = self.files.read(name)
            if data is None:
                continue
            try:
                if name in self.states:
                    self.log_lengths[name] = read_state(data, who="it").log_bytes
                else:
                    decode_arrays(data, who="it")
            except FileFormatError as problem:
                self.error(name, str(problem).rstrip("."))

    # --- log, configuration, provenance ----------------------------------------------------------

    def _check_log(self, metrics: Record, log: bytes | None, *, is_over: bool) -> None:
        name = "events.csv"
        if log is None:
            if name not in self.files.sizes and (is_over or self.log_lengths):
                self.error(name, "is missing")
            return
        error, note = partial(self.error, name), partial(self.note, name)
        rows = check_log(log, error=error, note=note, is_over=is_over)
        for state, n_bytes in self.log_lengths.items():
            if len(log) < n_bytes and not is_over:
                note(f"is shorter than {state} says, as in a copy; --resume writes the rest again")
            elif not log.endswith(b"\n", 0, n_bytes):
                error(f"must have whole rows up to byte {n_bytes}, as {state} says")
        error, note = (partial(tell, "metrics.json") for tell in (self.error, self.note))
        check_best(rows, metrics, error=error, note=note, is_over=is_over)

    def _check_settings(self, metrics: Record, config: RunConfig | None) -> None:
        """What the record repeats of the configuration is what that says."""
        if config is None:
            return
        hisso = config.hisso
        told = {
            "mode": config.mode,
            "seed": config.seed,
            "config_sha256": config_sha256(config),
            "delay": hisso.delay,
            "transition_penalty": mean_cost(hisso.transition_penalty, {}),
            "min_improvement": hisso.min_improvement,
            "trans_cost": mean_cost(config.judging_cost, {}),
        }
        if metrics["status"] == "completed" and not hisso.refit:
            told["epochs_total"] = config.training.epochs  # else of the phase in which it was
        if config.evaluation.withhold_test:
            _, split = split_of(config.evaluation.portfolio_prices_key or "") or ("", "test")
            for problem in problems_of_withheld(metrics, judges_test=split == "test"):
                self.error("metrics.json", problem)
        for name, value in told.items():
            if value is not None and metrics.get(name) not in (None, value):
                self.error("metrics.json", f"{name} is {metrics.get(name)!r}, not {value!r}")

    def _check_evaluation(
        self, metrics: Record, config: RunConfig | None, *, is_over: bool
    ) -> None:
        """The series of a finished run give the figures that its record says."""
        if metrics["judged"] is None:
            config = None  # of an earlier release, whose statistics were others
        series: dict[Path, Mapping[str, object]] = {self.paths.evaluation: metrics}
        series[self.paths.walk_forward] = metrics["walk_forward"] or {}
        for path, figures in series.items():
            name = self.files.name(path)
            if name in self.files.sizes:
                # Only here: most directories are refused before NumPy is needed.
                from psann.run.verification.series import problems_of_evaluation

                found = problems_of_evaluation(path, figures, is_over=is_over, config=config)
                for problem in found:
                    self.error(name, problem)
            elif is_over and figures.get("portfolio_metrics") is not None:
                self.error(name, "is missing; metrics.json has portfolio figures")

    def _check_config(self) -> RunConfig | None:
        """The resolved configuration says everything: feeding it back gives it again."""
        name = "config_resolved.yaml"
        data = self.files.read(name)
        if data is None:
            return None
        try:
            config = load_run_config(self.paths.root / name)
            resolved = dump_resolved(config)
        except ConfigError as problem:
            if all("holds a masked secret" in text for text in problem.problems):
                self.note(name, "has masked secrets, so that it cannot be fed back as it is")
            else:
                told = f"{'; '.join(problem.problems)}{told_of_release(self.paths.provenance)}"
                self.error(name, f"cannot be fed back: {told.removesuffix('.')}")
            return None
        if resolved != _with_later_keys(data.decode(errors="replace"), resolved):
            self.error(name, "must resolve to itself; fed back it gives another")
        return config

    def _check_provenance(self) -> None:
        name = "provenance.json"
        content = self.files.json(name)
        if content is None:
            return
        try:
            starts_of(content)
        except ValueError as problem:
            self.error(name, f"cannot be read: {problem}")


def _with_later_keys(text: str, resolved: str) -> str:
    """A resolved configuration of an earlier release as this one would have written it."""
    lines, later = text.splitlines(keepends=True), {key.path[-1] for key in later_keys(RunConfig)}
    for number, line in enumerate(resolved.splitlines(keepends=True)):
        key = line.strip().partition(":")[0]
        if key in later and number < len(lines) and lines[number] != line:
            lines.insert(number, line)
    return "".join(lines)


def _is_tensor_file(name: str) -> bool:
    return name.endswith(".safetensors") and not name.startswith("attempts/")
