"""Networks as torch modules: sine units, dense, residual and WaveResNet bodies."""
