"""Settings of a run: from YAML files to typed dataclasses, with errors that name the key."""

from npp.config.yaml_files import ConfigError, read_config

__all__ = ["ConfigError", "read_config"]
