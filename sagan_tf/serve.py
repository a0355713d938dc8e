"""Serves exported models over TensorFlow Serving's REST API, without Docker.

python -m sagan_tf.serve --model_name=sagan --model_base_path=exports/sagan --rest_api_port=8501
"""

import dataclasses
import os
from pathlib import Path

from sagan_tf import command
from sagan_tf.command import setting


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """What `python -m sagan_tf.serve` can be told; named as `tensorflow_model_server` does."""

    model_name: str = setting("sagan", "The model's name in addresses.")
    model_base_path: str | None = setting(
        None, "Holds the model's versions; without it exports/<model_name>."
    )
    model_config_file: str | None = setting(
        None, "Instead: models, version policies and labels, as TensorFlow Serving reads them."
    )
    rest_api_port: int = setting(8501, "Port to listen at; 0 for a free one.")
    rest_api_host: str = setting(
        "127.0.0.1", "Address to listen at; 0.0.0.0 for all of the machine's."
    )
    rest_api_num_threads: int = setting(8, "Calls that run at a time.")
    rest_api_timeout_in_ms: int = setting(30_000, "After which a call is answered with 504.")
    rest_api_enable_cors_support: bool = setting(False, "Let pages of other sites read answers.")
    file_system_poll_wait_seconds: float = setting(1.0, "Between looks for new versions.")


def main(settings: ServeSettings) -> None:
    """Loads the newest version, then answers until it is told to stop."""
    _check(settings)
    try:
        from sagan_tf.serving.server import bind, make_app, make_server
    except ModuleNotFoundError as error:
        raise ValueError(
            f"`{error.name}` is not installed; `pip install 'sagan_tf[serve]'` brings it."
        ) from None
    with bind(settings.rest_api_host, settings.rest_api_port) as listener:
        from sagan_tf.serving.versions import ModelConfig, ServedModels, read_model_configs

        if settings.model_config_file is not None:
            configs = read_model_configs(settings.model_config_file)
        else:
            base_path = settings.model_base_path or f"exports/{settings.model_name}"
            configs = [ModelConfig(settings.model_name, Path(base_path))]
        for config in configs:
            if not config.candidates():
                raise ValueError(
                    f"{config.base_path} holds no version of {config.name!r} to serve: no "
                    "directory that is named by a number. `python -m sagan_tf.export` writes one."
                )
        models = ServedModels(configs)
        models.update()
        for name, versions in models.available().items():
            if not versions:
                raise ValueError(f"No version of {name!r} can be loaded; the reasons are above.")
        host, port = listener.getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        for name in models.available():
            print(f"serving: http://{host}:{port}/v1/models/{name}", flush=True)
        app = make_app(
            models,
            settings.rest_api_timeout_in_ms / 1000,
            settings.rest_api_num_threads,
            settings.rest_api_enable_cors_support,
            settings.file_system_poll_wait_seconds,
        )
        make_server(app).run(sockets=[listener])


def _check(settings: ServeSettings) -> None:
    if not 0 <= settings.rest_api_port < 2**16:
        raise ValueError(
            f"`--rest_api_port` must be in [0, 65535]. Received: {settings.rest_api_port}"
        )
    for name in (
        "rest_api_num_threads",
        "rest_api_timeout_in_ms",
        "file_system_poll_wait_seconds",
    ):
        if not getattr(settings, name) > 0:
            raise ValueError(f"`--{name}` must be positive. Received: {getattr(settings, name)}")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    command.run(main, ServeSettings)
