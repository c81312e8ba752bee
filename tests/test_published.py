"""Somebody who comes from psann 0.12 or 2.0 is told the new spelling, by the right exception."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import psann
from planted import planted, quick
from psann import PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor
from psann._published import (
    CONFIG_KEYS,
    NAMES,
    PARAMETERS,
    answers_published,
    is_checkpoint_of_torch,
)
from psann.errors import FileFormatError
from psann.scripts.hisso_log_run import main

CLASSES = (PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor)
# What `from psann import` gave in 0.12.4 and in 2.0.1, read from the published wheels.
PUBLISHED_NAMES = """
ActivationConfig ArchitectureConfig AttentionConfig EpisodeConfig EpisodeScheduleConfig
EpisodeTrainer EpisodicTrainer FINANCE_PORTFOLIO_STRATEGY GeoSparseRegressor HISSOConfig
HISSOOptions LSM LSMConfig LSMConv2d LSMConv2dExpander LSMExpander LSMPretrainingConfig
ModulePreprocessorConfig PSANNRegressor PreprocessorConfig PreprocessorTrainingConfig
ReLUSigmoidPSANN ResConvPSANNRegressor ResPSANNRegressor RewardStrategyBundle SGRPSANNRegressor
SimpleWordTokenizer SineParam SineTokenEmbedder StateConfig StateController
SupervisedWarmStartConfig WaveEncoder WaveRNNCell WaveResNet WaveResNetRegressor
apply_siren_init build_wave_resnet count_params dense_mlp_params encode_and_probe
ensure_state_config fit_linear_probe geo_sparse_net_params get_reward_strategy
hisso_evaluate_reward hisso_infer_series jacobian_spectrum make_context_rotating_moons
make_drift_series make_episode_trainer_from_estimator make_regime_switch_ts make_shock_series
match_dense_width multiplicative_return_reward mutual_info_proxy ntk_eigens participation_ratio
portfolio_log_return_reward register_reward_strategy scan_regimes siren_uniform_
""".split()  # noqa: SIM905
# Keywords of the constructors of their regressors, and of `fit`.
PUBLISHED_PARAMETERS = """
activation activation_type amp amp_dtype architecture attention batch_size bias compile
compile_backend compile_dynamic compile_fullgraph compile_mode compute_mode context_builder
context_builder_params context_dim conv_channels conv_kernel_size data_format device
drop_path_max dropout early_stopping epochs first_layer_w0 first_layer_w0_initial gate_groups
gate_init gate_strength gate_type geo_seed grad_clip_norm hidden_layers hidden_units hidden_w0
hidden_w0_initial hidden_width k k_fft loss loss_params loss_reduction lr lsm lsm_lr
lsm_pretrain_epochs lsm_train norm num_workers offsets optimizer output_shape patience pattern
per_element phase_init phase_trainable pool preprocessor preserve_shape progressive_depth_growth
progressive_depth_initial progressive_depth_interval radius random_state residual_alpha_init
scaler scaler_params shape state state_reset stateful stream_lr target_scaler
target_scaler_params use_film use_phase_shift use_spectral_gate w0 w0_first w0_hidden
w0_warmup_epochs warm_start weight_decay wrap_mode
""".split()  # noqa: SIM905
PUBLISHED_OF_FIT = """
X context hisso hisso_batch_episodes hisso_context_extractor hisso_primary_transform
hisso_reward_fn hisso_supervised hisso_trans_cost hisso_transition_penalty
hisso_updates_per_epoch hisso_window lr_max lr_min noisy validation_data verbose y
""".split()  # noqa: SIM905
SEE = "See docs/migration.md, which has both spellings side by side."
X, PRICES = planted(60)["X"], planted(60)["prices"]


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_a_published_name_is_there_or_is_answered(name: str) -> None:
    if name in psann.__all__:
        assert hasattr(psann, name)
        return
    assert not hasattr(psann, name)
    with pytest.raises(AttributeError) as caught:
        getattr(psann, name)
    assert str(caught.value).startswith(f"psann.{name} is of psann 0.12 or 2.0; ")
    assert str(caught.value).endswith(
        ". See docs/migration.md, which has both spellings side by side."
    )


def test_the_table_names_nothing_that_exists_or_never_was() -> None:
    assert set(NAMES) == set(PUBLISHED_NAMES) - set(psann.__all__)


def test_other_names_are_refused_as_ever() -> None:
    with pytest.raises(AttributeError, match="module 'psann' has no attribute 'zebra'"):
        psann.zebra  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'zebra'"):
        exec("from psann import zebra")


def test_an_import_of_a_published_name_tells_the_new_spelling_without_torch() -> None:
    code = (
        "import sys\ntry:\n from psann import hisso_infer_series\nexcept ImportError as e: print(e)"
    )
    code += "\nassert 'torch' not in sys.modules"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "write estimator.predict_actions(X)" in told


@pytest.mark.parametrize("cls", CLASSES)
def test_every_published_parameter_is_taken_or_is_answered(cls: type) -> None:
    for name in set(PUBLISHED_PARAMETERS) - inspect.signature(cls).parameters.keys():
        with pytest.raises(TypeError, match=f"^{cls.__name__} takes no {name}, as psann 0.12 did;"):
            cls(**{name: 1})


def test_every_published_keyword_of_fit_is_taken_or_is_answered() -> None:
    own = inspect.signature(PSANNRegressor.fit).parameters.keys()
    for name in set(PUBLISHED_OF_FIT) - own:
        with pytest.raises(TypeError, match=f"^PSANNRegressor.fit takes no {name}, as psann 0.12"):
            quick().fit(X, **{name: 1})


def test_keywords_of_episodes_become_one_mapping_that_can_be_copied() -> None:
    model = quick()
    with pytest.raises(TypeError) as caught:
        model.fit(X, X, hisso=True, hisso_window=24, hisso_trans_cost=0.001, lr_max=0.1)
    lines = str(caught.value).splitlines()
    assert lines == [
        "PSANNRegressor.fit takes no lr_max, as psann 0.12 did; write lr of the constructor.",
        "PSANNRegressor.fit takes no hisso=True, hisso_window, hisso_trans_cost, as psann 0.12 "
        "did; write hisso={'window': 24, 'transition_penalty': 0.001}.",
        SEE,
    ]
    new: dict[str, Any] = {}
    exec(lines[1].rpartition("write ")[2].rstrip("."), new)
    fitted = quick(lr=0.1).fit(X, prices=PRICES, hisso=new["hisso"])
    assert (fitted.hisso_options_.window, fitted.hisso_options_.transition_penalty) == (24, 0.001)
    assert not hasattr(model, "network_")


@pytest.mark.parametrize(
    ("switch", "cure"), [(True, "write hisso={}"), (False, "leave it out: that trains on targets")]
)
def test_a_switch_is_answered_with_what_it_meant(switch: bool, cure: str) -> None:
    with pytest.raises(TypeError, match=f"takes no hisso={switch}, as psann 0.12 did; {cure}"):
        quick().fit(X, X, hisso=switch)


def test_what_has_no_short_spelling_is_left_to_the_reader() -> None:
    with pytest.raises(TypeError, match=r"write hisso=\{'reward': \.\.\.\}"):
        quick().fit(X, hisso_reward_fn=len)


@pytest.mark.parametrize(
    ("key", "cure"),
    [
        ("trans_cost", "write hisso.transition_penalty"),
        ("episode_length", "write hisso.window"),
        ("lr_max", "write lr of the constructor"),
    ],
)
def test_a_published_key_of_the_mapping_is_answered(key: str, cure: str) -> None:
    with pytest.raises(ValueError, match=f"^hisso.{key} is a key of psann 0.12; {cure}\\.$"):
        quick().fit(X, prices=PRICES, hisso={key: 1})


def test_parameters_and_keys_point_to_what_exists() -> None:
    known = inspect.signature(PSANNRegressor).parameters.keys() | {"lr_schedule"}
    for cure in (*PARAMETERS.values(), *CONFIG_KEYS.values()):
        words = cure.replace(",", " ").replace(";", " ").replace(":", " ").split()
        for word in words:
            section, _, key = word.partition(".")
            if section == "hisso" and key:
                assert key in psann.HISSOOptions.model_fields, cure
            if section == "training" and key:
                assert key in known, cure


def test_a_subclass_may_call_its_parameters_what_it_likes() -> None:
    class Mine(PSANNRegressor):
        def __init__(self, *, attention: int = 1) -> None:
            self.attention = attention

    assert Mine(attention=3).attention == 3


def test_the_signature_of_what_answers_stays() -> None:
    def fit(self: object, X: int, *, noisy: int = 0) -> int:
        return X + noisy

    answering = answers_published(fit)
    assert inspect.signature(answering) == inspect.signature(fit)
    assert answering(None, 1, noisy=2) == 3


@pytest.mark.parametrize("is_old", [False, True])
def test_a_published_checkpoint_is_named_and_not_opened(tmp_path: Path, is_old: bool) -> None:
    file = tmp_path / "first" / "checkpoints" / "best.pt"
    file.parent.mkdir(parents=True)
    torch.save({"class": "PSANNRegressor"}, file, _use_new_zipfile_serialization=not is_old)
    with pytest.raises(FileFormatError, match="wrote their checkpoints"):
        PSANNRegressor.load(file)


def test_other_archives_are_not_taken_for_published_checkpoints(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", x=X)
    quick().fit(X, X).save(tmp_path / "mine.safetensors")
    for name in ("arrays.npz", "mine.safetensors"):
        assert not is_checkpoint_of_torch((tmp_path / name).read_bytes())
    assert not is_checkpoint_of_torch(b"")


@pytest.mark.parametrize("given", ["first", "first/checkpoints/best.pt"])
def test_a_run_of_the_published_package_is_no_start_and_says_why(
    tmp_path: Path, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "first" / "checkpoints" / "best.pt"
    file.parent.mkdir(parents=True)
    torch.save({"class": "PSANNRegressor"}, file)
    config = tmp_path / "run.yaml"
    config.write_text(
        "estimator: {target: psann.PSANNRegressor}\nhisso: {reward: portfolio}\n"
        "data: {loader: psann.datasets.make_smoke_market, kwargs: {rows: 160}}\n"
    )
    command = ["--config", str(config), "--output-dir", str(tmp_path / "runs"), "--run-name", "a"]
    command += ["--mode", "fine_tune", "--init-from", str(tmp_path / given), "--device", "cpu"]
    assert main(command) == 1
    assert "best.pt is a file of torch.save" in " ".join(capsys.readouterr().err.split())
