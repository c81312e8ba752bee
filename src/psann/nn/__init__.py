"""Networks as torch modules: sine units, dense, residual and WaveResNet bodies."""

from psann.nn.assetwise import AssetwiseNetwork
from psann.nn.dense import DenseNetwork
from psann.nn.network import Network, NetworkShape
from psann.nn.residual import ResidualNetwork
from psann.nn.sine import SineOptions, SineParam
from psann.nn.state import StateOptions
from psann.nn.units import UnitOptions
from psann.nn.wave_resnet import WaveOptions, WaveResNet

__all__ = [
    "AssetwiseNetwork",
    "DenseNetwork",
    "Network",
    "NetworkShape",
    "ResidualNetwork",
    "SineOptions",
    "SineParam",
    "StateOptions",
    "UnitOptions",
    "WaveOptions",
    "WaveResNet",
]
