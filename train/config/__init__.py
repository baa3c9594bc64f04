"""What a run is told: sections, their checks, TOML and command line, help."""

from train.config.load import check_config, load_config, to_toml
from train.config.schema import SftConfig, TrainConfig

__all__ = ["SftConfig", "TrainConfig", "check_config", "load_config", "to_toml"]
