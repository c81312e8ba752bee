"""What a configuration may import, and what it may not."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from psann._imports import (
    OF_THE_USER,
    ImportPolicy,
    NamedInFile,
    check_is_there,
    import_object,
    named_in_file,
)
from psann.errors import ImportTargetError
from psann.run.directory.paths import RunPaths

STANDARD_LIBRARY = """
os.system os:system os.execv os.path.join os.remove posix.system nt.system subprocess.run
subprocess:Popen subprocess.check_output builtins.eval builtins:exec builtins.open
builtins.__import__ importlib.import_module runpy.run_path code.interact pdb.run pty.spawn
shutil.rmtree socket.socket ctypes.CDLL ctypes.cdll.LoadLibrary pickle.loads marshal.loads
shelve.open tempfile.mktemp webbrowser.open urllib.request.urlopen http.server.HTTPServer
multiprocessing.Process threading.Thread asyncio.run signal.raise_signal sys.exit
functools.partial operator.methodcaller types.FunctionType timeit.timeit cProfile.run
distutils.spawn.spawn venv.create ensurepip.bootstrap zipimport.zipimporter antigravity.geohash
_posixsubprocess.fork_exec _thread.start_new_thread test.support.script_helper.assert_python_ok
""".split()  # noqa: SIM905

TOOLS = """
pip.main pip._internal.main setuptools.setup setuptools.distutils.spawn.spawn
pkg_resources.run_script joblib.load joblib:load cloudpickle.loads dill.loads torch.load
torch.hub.load torch.os.system torch.jit.load torch.utils.cpp_extension.load numpy.load
numpy.f2py.compile numpy.os.system numpy.testing.run_module_suite pandas.read_pickle
pandas.io.pickle.read_pickle scipy.io.loadmat sympy.sympify yaml.unsafe_load sklearn.os
pytest.main _pytest.config.main IPython.start_ipython matplotlib.os.system
""".split()  # noqa: SIM905

THROUGH_PSANN = """
psann.run.directory.storage.os.system psann.run.directory.storage.put
psann.run.config.load.load_run_config
psann.datasets.np.load psann.datasets.Path psann.datasets:hashlib psann._imports.import_object
psann.estimators._parameters.np.load psann.estimators._persistence psann.hisso.rewards.torch.load
psann.hisso.rewards.import_object psann.importlib.import_module psann.PSANNRegressor.__init__
psann.__version__ psann.PSANNRegressor.__class__.mro system
""".split()  # noqa: SIM905

MALFORMED = ["", ".", "os.", "a b.c", "../evil.py:f", "a:b:c", "a..b", "1a.b", "a.b()", "а.b-c"]


@pytest.mark.parametrize("target", STANDARD_LIBRARY + TOOLS + THROUGH_PSANN)
def test_dangerous_targets_are_refused(target: str) -> None:
    with pytest.raises(ImportTargetError, match=r"^data\.loader: "):
        import_object(target, who="data.loader")


def test_there_are_at_least_sixty_dangerous_targets() -> None:
    assert len({*STANDARD_LIBRARY, *TOOLS, *THROUGH_PSANN}) >= 60


def test_what_a_name_can_tell_is_refused_without_importing_anything() -> None:
    script = (
        "import sys\n"
        "from psann._imports import import_object\n"
        "from psann.errors import ImportTargetError\n"
        "before = set(sys.modules)\n"
        "for target in sys.argv[1:]:\n"
        "    try:\n"
        "        import_object(target, who='x')\n"
        "    except ImportTargetError:\n"
        "        continue\n"
        "    raise SystemExit(target)\n"
        "named = {target.replace(':', '.').split('.')[0] for target in sys.argv[1:]}\n"
        "print(sorted(named & (set(sys.modules) - before)))\n"
    )
    inner = [name for name in THROUGH_PSANN if not name.startswith(("psann.d", "psann.h"))]
    done = subprocess.run(
        [sys.executable, "-c", script, *STANDARD_LIBRARY, *TOOLS, *MALFORMED, inner[0]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


@pytest.mark.parametrize("target", MALFORMED)
def test_malformed_targets_are_refused_as_such(target: str) -> None:
    with pytest.raises(ImportTargetError, match=r"data.loader must be an import path like"):
        import_object(target, who="data.loader")


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    package = tmp_path / "mine_xyz"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("from mine_xyz.deep import data\n")
    (package / "deep" / "__init__.py").write_text("")
    (package / "deep" / "data.py").write_text(
        "import functools, os, random as chance\n"
        "from os import system\n"
        "from subprocess import Popen\n"
        "import numpy as np\n"
        "import neighbour_xyz\n"
        "from neighbour_xyz import borrowed\n"
        "TABLE = {}\n"
        "NUMBER = 3\n"
        "def load(**kwargs): return kwargs\n"
        "def general(power, X): return X\n"
        "special = functools.partial(general, 2)\n"
        "hidden = functools.partial(os.system)\n"
        "class Data:\n"
        "    class Inner:\n"
        "        @classmethod\n"
        "        def load(cls): return 1\n"
        "    def __call__(self): return 2\n"
        "instance = Data()\n"
    )
    (tmp_path / "neighbour_xyz.py").write_text("def borrowed(): return 3\n")
    (tmp_path / "broken_xyz.py").write_text("import no_such_module_xyz\n")
    (tmp_path / "raising_xyz.py").write_text("raise RuntimeError('mine')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0].endswith("_xyz")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "target",
    [
        "PSANNRegressor",
        "psann.PSANNRegressor",
        "psann:WaveResNetRegressor",
        "psann.estimators.dense.PSANNRegressor",
        "psann.datasets.make_toy_hisso",
        "psann.datasets:load_olps",
        "psann.hisso.rewards.portfolio",
        "mine_xyz.deep.data.load",
        "mine_xyz.deep.data:load",
        "mine_xyz.data.load",
        "mine_xyz.deep.data.special",
        "mine_xyz.deep.data.instance",
        "mine_xyz.deep.data.borrowed",
        "mine_xyz.deep.data:Data.Inner.load",
        "mine_xyz.deep.data.Data.Inner",
    ],
)
@pytest.mark.usefixtures("own_package")
def test_allowed_targets_are_found(target: str) -> None:
    found = import_object(target, who="data.loader")
    assert callable(found)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("mine_xyz.deep.data.os.system", "belongs to Python itself"),
        ("mine_xyz.deep.data.system", "belongs to Python itself"),
        ("mine_xyz.deep.data:Popen", "belongs to Python itself"),
        ("mine_xyz.deep.data.chance.random", "belongs to Python itself"),
        ("mine_xyz.deep.data.hidden", "belongs to Python itself"),
        ("mine_xyz.deep.data.np.load", "belongs to the library numpy"),
        ("mine_xyz.deep.data.np.add", "belongs to the library numpy"),
        ("mine_xyz.deep.data.TABLE.get", "leads through a dict"),
        ("mine_xyz.deep.data.instance.__call__", "inner names"),
        ("mine_xyz.deep.data.NUMBER", "must name a class or a function; .* is a int"),
        ("mine_xyz.deep", "must name a class or a function; .* is a module"),
        ("mine_xyz.deep.data.laod", r"has no 'laod'\. Did you mean 'load'\?"),
        ("mine_xyz.deep.data:laod", r"has no 'laod'\. Did you mean 'load'\?"),
        ("mine_xyz.dep.data.load", r"has no 'dep'\. Did you mean 'deep'\?"),
        ("mine_xyz.deep.data.Data.Iner", r"has no 'Iner'\. Did you mean 'Inner'\?"),
        ("absent_xyz.load", r"no module 'absent_xyz'.*PYTHONPATH"),
        ("broken_xyz.load", "importing 'broken_xyz' failed: No module named 'no_such_module_xyz'"),
        ("PSANNRegresor", r"Did you mean 'PSANNRegressor'\?"),
    ],
)
@pytest.mark.usefixtures("own_package")
def test_own_modules_lead_only_to_own_objects(target: str, message: str) -> None:
    with pytest.raises(ImportTargetError, match=message):
        import_object(target, who="data.loader")


@pytest.mark.usefixtures("own_package")
def test_an_exception_of_the_users_module_passes_through() -> None:
    with pytest.raises(RuntimeError, match="mine"):
        import_object("raising_xyz.load", who="data.loader")


@pytest.mark.usefixtures("own_package")
def test_only_import_narrows_to_its_prefixes_and_psann() -> None:
    with ImportPolicy(only=("mine_xyz.deep",)).in_force():
        for target in ("mine_xyz.deep.data.load", "psann.datasets.make_toy_hisso"):
            assert callable(import_object(target, who="data.loader"))
        for target in ("mine_xyz.data.load", "neighbour_xyz.borrowed", "mine_xyz.deeper.load"):
            with pytest.raises(ImportTargetError, match=r"outside of --only-import mine_xyz\.deep"):
                import_object(target, who="data.loader")
        with pytest.raises(ImportTargetError, match="leads through neighbour_xyz"):
            import_object("mine_xyz.deep.data.neighbour_xyz.borrowed", who="data.loader")
    assert callable(import_object("neighbour_xyz.borrowed", who="data.loader"))


@pytest.fixture
def installed(tmp_path: Path, own_package: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution below site-packages, one beside its records, and an editable one."""
    for folder in ("site-packages", "target", "editable"):
        (tmp_path / folder).mkdir()
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    (tmp_path / "site-packages" / "wheel_xyz").mkdir()
    for place in ("site-packages/wheel_xyz/__init__", "target/aside_xyz", "editable/edited_xyz"):
        (tmp_path / f"{place}.py").write_text("def run(**kwargs): return kwargs\n")
    (tmp_path / "target" / "aside_xyz-1.0.dist-info").mkdir()
    (tmp_path / "editable" / "edited_xyz.egg-info").mkdir()
    (tmp_path / "borrowing_xyz.py").write_text("import wheel_xyz\nfrom wheel_xyz import run\n")
    return tmp_path


@pytest.mark.parametrize("target", ["wheel_xyz.run", "aside_xyz:run"])
@pytest.mark.usefixtures("installed")
def test_what_is_installed_needs_the_prefix_that_the_refusal_names(target: str) -> None:
    root = target[:9]
    with pytest.raises(ImportTargetError, match=f"the library {root}.*--allow-import {root} "):
        import_object(target, who="data.loader")
    assert root not in sys.modules
    with ImportPolicy(allow=(root,)).in_force():
        assert callable(import_object(target, who="data.loader"))


@pytest.mark.parametrize("target", ["borrowing_xyz.run", "borrowing_xyz.wheel_xyz.run"])
@pytest.mark.usefixtures("installed")
def test_a_module_of_the_users_is_no_detour_to_what_is_installed(target: str) -> None:
    with pytest.raises(ImportTargetError, match=r"library wheel_xyz.*--allow-import wheel_xyz "):
        import_object(target, who="data.loader")
    with ImportPolicy(allow=("wheel_xyz",)).in_force():
        assert callable(import_object(target, who="data.loader"))


@pytest.mark.usefixtures("installed")
def test_what_is_installed_editable_is_the_users_own() -> None:
    assert callable(import_object("edited_xyz.run", who="data.loader"))


@pytest.mark.parametrize("prefix", ["os", "subprocess", "builtins"])
def test_no_prefix_opens_python_itself(prefix: str) -> None:
    for policy in (ImportPolicy(allow=(prefix,)), ImportPolicy(only=(prefix,))):
        with policy.in_force(), pytest.raises(ImportTargetError, match="belongs to Python itself"):
            import_object(f"{prefix}.system", who="data.loader")


OF_A_FILE = ImportPolicy(is_of_a_file=True)


@pytest.mark.parametrize(
    ("policy", "target"),
    [
        (OF_THE_USER, NamedInFile("mine_xyz.deep.data.load")),
        (OF_THE_USER, NamedInFile("mine_xyz.deep.data.load", allow=["mine_xyz.deeper"])),
        (OF_A_FILE, "mine_xyz.deep.data.load"),
    ],
)
@pytest.mark.usefixtures("own_package")
def test_what_a_file_names_is_not_imported_before_the_user_names_it_again(
    policy: ImportPolicy, target: str
) -> None:
    message = r"named by a file.*--allow-import mine_xyz .*load\(\.\.\., allow=\('mine_xyz',\)\)"
    with policy.in_force(), pytest.raises(ImportTargetError, match=message):
        import_object(target, who="loss")
    assert "mine_xyz" not in sys.modules
    for prefixes in ({"allow": ("mine_xyz",)}, {"only": ("mine_xyz",)}):
        with replace(policy, **prefixes).in_force():
            assert callable(import_object(target, who="loss"))
    allowed = NamedInFile(target, allow=["mine_xyz"])
    with policy.in_force():
        assert callable(import_object(allowed, who="loss"))


def test_what_a_file_names_of_psann_needs_no_word() -> None:
    assert callable(import_object(NamedInFile("psann.hisso.rewards:portfolio"), who="hisso.reward"))
    with OF_A_FILE.in_force():
        assert callable(import_object("psann.datasets.make_toy_hisso", who="data.loader"))


def test_a_name_of_a_file_stays_one_however_it_is_handed_on() -> None:
    name = NamedInFile("mine_xyz.loss", allow=["mine_xyz"])
    for other in (copy.deepcopy(name), pickle.loads(pickle.dumps(name)), named_in_file([name])[0]):
        assert isinstance(other, NamedInFile)
    assert copy.deepcopy(name).allow == ("mine_xyz",)
    plain = {"loss": "mse", "reward": {"target": "mine_xyz:f", "kwargs": {"p": 2}}, "n": [1, "a.b"]}
    marked = named_in_file(plain)
    assert marked == plain
    kinds = (type(marked["loss"]), type(marked["reward"]["target"]), type(marked["n"][1]))
    assert kinds == (str, NamedInFile, NamedInFile)


@pytest.mark.parametrize("n_files", [1, 2])
@pytest.mark.usefixtures("own_package")
def test_nothing_is_imported_from_a_run_directory(
    tmp_path: Path, n_files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "inner_xyz.py").write_text("def borrowed(): return 3\n")
    monkeypatch.syspath_prepend(str(tmp_path / "deeper"))
    run = RunPaths(tmp_path)
    for path in (run.metrics, run.events, run.config_resolved, run.provenance)[2 : 2 + n_files]:
        path.touch()
    with ImportPolicy(allow=("mine_xyz", "neighbour_xyz", "inner_xyz")).in_force():
        if n_files == 1:  # a project may have one such file of its own
            assert callable(import_object("neighbour_xyz.borrowed", who="loss"))
            return
        for target in ("neighbour_xyz.borrowed", "mine_xyz.deep.data.load", "inner_xyz:borrowed"):
            with pytest.raises(ImportTargetError, match="lies in a run directory"):
                import_object(target, who="loss")
    assert "neighbour_xyz" not in sys.modules


# --- without importing anything -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere_xyz.load", "there is no module 'nowhere_xyz'"),
        ("looked_xyz.lod", "looked_xyz has no 'lod'. Did you mean 'load'?"),
        ("looked_xyz.deep.lod", "looked_xyz has no 'deep'"),
        ("folder_xyz.inner.lod", "folder_xyz.inner has no 'lod'. Did you mean 'load'?"),
        ("folder_xyz.iner:load", "folder_xyz has no 'iner'"),
        ("psann.PSANNRegresor", "Did you mean 'PSANNRegressor'?"),
        ("psann.datasets.make_toy", "psann.datasets has no 'make_toy'"),
        ("os.system", "belongs to Python itself"),
    ],
)
def test_a_look_refuses_what_is_not_there_for_sure_and_imports_nothing(
    target: str, message: str, looked_at: None
) -> None:
    with pytest.raises(ImportTargetError) as refused:
        check_is_there(target, who="data.loader")
    assert message in str(refused.value)
    assert not {"looked_xyz", "folder_xyz"} & sys.modules.keys()


@pytest.mark.parametrize(
    "target",
    [
        *("looked_xyz.load", "looked_xyz:load", "folder_xyz.inner.load", "folder_xyz.inner"),
        # Of these only the import can tell.
        *("dynamic_xyz.anything", "starred_xyz.anything", "looked_xyz.mentioned", "no target!"),
        *("psann.PSANNRegressor", "psann.datasets.make_toy_hisso", "PSANNRegressor"),
    ],
)
def test_a_look_leaves_to_the_import_what_only_that_can_tell(target: str, looked_at: None) -> None:
    check_is_there(target, who="data.loader")
    assert not {"looked_xyz", "folder_xyz", "dynamic_xyz", "starred_xyz"} & sys.modules.keys()


@pytest.fixture
def looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that fail when they are imported."""
    (tmp_path / "folder_xyz").mkdir()
    (tmp_path / "folder_xyz" / "__init__.py").write_text("1 / 0\n")
    (tmp_path / "folder_xyz" / "inner.py").write_text("def load(): pass\n1 / 0\n")
    (tmp_path / "looked_xyz.py").write_text("def load(): pass  # mentioned\n1 / 0\n")
    (tmp_path / "dynamic_xyz.py").write_text("globals().update(a=1)\n1 / 0\n")
    (tmp_path / "starred_xyz.py").write_text("from looked_xyz import *\n1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
