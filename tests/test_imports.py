"""What a configuration may import, and what it may not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from psann._imports import import_object
from psann.errors import ImportTargetError

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
        "print(sorted(set(sys.modules) - before))\n"
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
    allowed = ["mine_xyz.deep"]
    for target in ("mine_xyz.deep.data.load", "psann.datasets.make_toy_hisso"):
        assert callable(import_object(target, who="data.loader", only_import=allowed))
    for target in ("mine_xyz.data.load", "neighbour_xyz.borrowed", "mine_xyz.deeper.load"):
        with pytest.raises(ImportTargetError, match=r"outside of --only-import mine_xyz\.deep"):
            import_object(target, who="data.loader", only_import=allowed)
    with pytest.raises(ImportTargetError, match="leads through neighbour_xyz"):
        import_object(
            "mine_xyz.deep.data.neighbour_xyz.borrowed", who="data.loader", only_import=allowed
        )
