"""Which models and versions are served, as TensorFlow Serving's file of models says it."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from sagan_tf.serving.messages import ModelServerConfig
from sagan_tf.serving.model_names import check_model_name
from sagan_tf.serving.saved_model import versions_in


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One model to serve.

    Attributes:
        name: in addresses.
        base_path: holds the versions.
        num_versions: how many of the newest that can be loaded are served; `None` for all.
        versions: the only ones to serve, if not all.
        labels: names of versions in addresses.
    """

    name: str
    base_path: Path
    num_versions: int | None = 1
    versions: tuple[int, ...] | None = None
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def candidates(self) -> list[int]:
        """The versions on disk that may be served, newest first."""
        present = versions_in(self.base_path)[::-1]
        if self.versions is None:
            return present
        return [version for version in present if version in self.versions]


def read_model_configs(path: str | os.PathLike) -> list[ModelConfig]:
    """Reads a `ModelServerConfig` in text format, as `tensorflow_model_server` does.

    Raises:
        ValueError: if the file cannot be read, or if it names no model, one twice or one by a name
            that is ambiguous in an address.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        parsed = text_format.Parse(text, ModelServerConfig(), allow_unknown_field=True)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ValueError(f"`--model_config_file` {path} cannot be read: {error}") from None
    configs = [_model_config(config) for config in parsed.model_config_list.config]
    names = {config.name for config in configs}
    if not configs or len(names) < len(configs) or "" in names:
        raise ValueError(
            f"`--model_config_file` {path} must name each of its models, and no two alike. "
            f"Received: {[config.name for config in configs]}"
        )
    for name in sorted(names):
        check_model_name(name, f"A model's name in `--model_config_file` {path}")
    return configs


def _model_config(config: Any) -> ModelConfig:
    policy = config.model_version_policy
    specific = policy.HasField("specific")
    return ModelConfig(
        config.name,
        Path(config.base_path),
        None if specific or policy.HasField("all") else policy.latest.num_versions or 1,
        tuple(policy.specific.versions) if specific else None,
        dict(config.version_labels),
    )
