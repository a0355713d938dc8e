"""Says which models and versions are served, and reads it from TensorFlow Serving's config file."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from sagan_tf.serving.exporting.saved_model import versions_in
from sagan_tf.serving.server.model_names import check_model_name
from sagan_tf.serving.server.protobufs import ModelServerConfig

# Of smaller weights, images of up to some 32 pixels, threads cost more than they bring.
_LARGE_BYTES = 4 * 2**20


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A model to serve.

    Attributes:
        name: name of the model in addresses.
        base_path: directory that holds a directory for each version.
        num_versions: number of versions to serve, the newest that can be loaded; `None` for all.
        versions: versions that may be served; `None` for any.
        labels: numbers of versions by the labels that name them in addresses.
    """

    name: str
    base_path: Path
    num_versions: int | None = 1
    versions: tuple[int, ...] | None = None
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def candidates(self) -> list[int]:
        """Returns the versions on disk that may be served, newest first."""
        present = versions_in(self.base_path)[::-1]
        if self.versions is None:
            return present
        return [version for version in present if version in self.versions]

    def is_large(self) -> bool:
        """Whether the newest version's weights are so large that an operation gains by threads."""
        newest = self.candidates()[:1]
        files = [
            path
            for version in newest
            for path in (self.base_path / str(version) / "variables").glob("*")
        ]
        return sum(path.stat().st_size for path in files) > _LARGE_BYTES

    def check_versions(self) -> None:
        """Checks that there is a version on disk that may be served.

        Raises:
            ValueError: if there is none, with the reason.
        """
        path = self.base_path
        try:
            found = self.candidates()
        except OSError as error:
            raise ValueError(
                f"{path} cannot be read: {error.strerror}. Mend its permissions."
            ) from None
        if found:
            return
        if not path.is_dir():
            reason = "it is not there"
        elif (path / "saved_model.pb").exists():
            reason = f"it is a version itself; name {path.parent}"
        elif self.versions is not None:
            reason = f"none of {list(self.versions)} is there"
        else:
            reason = "no directory in it is named by a number"
        raise ValueError(
            f"{path} holds no version of {self.name!r} to serve: {reason}. "
            "`python -m sagan_tf.export` writes versions; `--model_base_path=digits` needs none."
        )


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
