"""Sine-activated neural networks with scikit-learn manners, trained by HISSO."""

from __future__ import annotations

import importlib
import sys

# Not from typing, whose import takes longer than all else until a script listens to Ctrl-C.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from psann.estimators.assetwise import AssetwiseRegressor
    from psann.estimators.dense import PSANNRegressor
    from psann.estimators.residual import ResPSANNRegressor
    from psann.estimators.seeds import Ensemble, fit_seeds
    from psann.estimators.wave_resnet import WaveResNetRegressor
    from psann.hisso.options import EvaluationOptions, HISSOOptions, WarmStartOptions
    from psann.run.acting.policy import load_policy

__version__ = "0.1.0"

# Names resolve on first use (PEP 562): importing the package must not import torch.
_HOMES = {
    "AssetwiseRegressor": "psann.estimators.assetwise",
    "Ensemble": "psann.estimators.seeds",
    "EvaluationOptions": "psann.hisso.options",
    "HISSOOptions": "psann.hisso.options",
    "PSANNRegressor": "psann.estimators.dense",
    "ResPSANNRegressor": "psann.estimators.residual",
    "WarmStartOptions": "psann.hisso.options",
    "WaveResNetRegressor": "psann.estimators.wave_resnet",
    "fit_seeds": "psann.estimators.seeds",
    "load_policy": "psann.run.acting.policy",
}

__all__ = [
    "AssetwiseRegressor",
    "Ensemble",
    "EvaluationOptions",
    "HISSOOptions",
    "PSANNRegressor",
    "ResPSANNRegressor",
    "WarmStartOptions",
    "WaveResNetRegressor",
    "__version__",
    "fit_seeds",
    "load_policy",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        from psann._published import is_from_import, name_answer

        answer = name_answer(name)
        if answer is not None and is_from_import(sys._getframe(1)):
            raise ImportError(answer, name=__name__)
        raise AttributeError(answer or f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
