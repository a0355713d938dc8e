"""Serves exported models over TensorFlow Serving's REST API, or guards a server that does.

python -m sagan_tf.serve --model_name=sagan --model_base_path=exports/sagan --rest_api_port=8501
python -m sagan_tf.serve --gateway --upstream=http://127.0.0.1:8501 --api_key_file=keys
"""

import contextlib
import re
import signal
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sagan_tf import command
from sagan_tf.config import FREE_SETTINGS
from sagan_tf.config.serving_settings import OF_MODELS, ServeSettings
from sagan_tf.extras import extra
from sagan_tf.machine import startup
from sagan_tf.machine.keras_settings import check_keras_settings
from sagan_tf.serving.server.model_names import check_model_name

if TYPE_CHECKING:
    from sagan_tf.serving.http.connection_table import ConnectionLimits
    from sagan_tf.serving.server.batching import BatchingParameters
    from sagan_tf.serving.server.model_config import ModelConfig


def main(settings: ServeSettings) -> None:
    """Serves models, or guards another server, until SIGTERM or Ctrl-C."""
    _check(settings)
    with extra("serve"):
        from sagan_tf.serving.gateway import app as gateway  # noqa: F401 - all are needed
        from sagan_tf.serving.gateway import callers
        from sagan_tf.serving.http.guarded_server import make_server
        from sagan_tf.serving.server import app as server
    if settings.add_key is not None and settings.api_key_file is not None:
        key = callers.add_key(Path(settings.api_key_file), settings.add_key)
        print(f"key of {settings.add_key}, which is stored nowhere: {key}")
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # while models load, as Ctrl-C
    port = settings.rest_api_port
    if port is None:
        port = 8080 if settings.gateway else 8501
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(server.bind(settings.rest_api_host, port))
        host, port = listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        if settings.gateway:
            app = _gateway(settings, address)
        else:
            app = _models(settings, address, Path(stack.enter_context(TemporaryDirectory())))
        # The server raises it again after all calls that run are answered.
        with contextlib.suppress(KeyboardInterrupt):
            make_server(app, _connection_limits(settings)).run(sockets=[listener])


def _connection_limits(settings: ServeSettings) -> "ConnectionLimits":
    from sagan_tf.serving.gateway.callers import is_within, read_networks
    from sagan_tf.serving.http.connection_table import ConnectionLimits

    proxies = read_networks(settings.trusted_proxies)
    seconds = settings.rest_api_timeout_in_ms / 1000
    return ConnectionLimits(
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        max_body_bytes=_max_body_bytes(settings),
        call_seconds=2 * seconds + 30,  # for the body, for the model, and to send the answer
        reserved_descriptors=settings.max_in_flight + 32,
        is_shared=lambda address: is_within(address, proxies),
    )


def _max_body_bytes(settings: ServeSettings) -> int:
    default = 2**18 if settings.gateway else 2**22
    return default if settings.max_body_bytes is None else settings.max_body_bytes


def _models(settings: ServeSettings, address: str, temporary: Path) -> Any:
    check_keras_settings()
    with startup.without_unused_packages():
        startup.import_tensorflow()

    from sagan_tf.machine.devices import in_words, use_device
    from sagan_tf.serving.server.app import make_app
    from sagan_tf.serving.server.versions import ServedModels, settle_memory

    use_device(settings.device)
    print(f"device: {in_words()}", flush=True)
    batching = _batching(settings)
    configs = _configs(settings, temporary)
    for config in configs:
        print(f"loading: {config.name} from {config.base_path}", flush=True)
    models = ServedModels(configs, batching.allowed_batch_sizes)
    models.update()
    for name, versions in models.available().items():
        if not versions:
            raise ValueError(f"No version of {name!r} can be loaded; the reasons are above.")
    settle_memory()
    for name in models.available():
        print(f"serving: {address}/v1/models/{urllib.parse.quote(name, safe='')}", flush=True)
    return make_app(
        models,
        settings.rest_api_timeout_in_ms / 1000,
        settings.rest_api_num_threads,
        settings.rest_api_enable_cors_support,
        settings.file_system_poll_wait_seconds,
        _max_body_bytes(settings),
        batching,
    )


def _batching(settings: ServeSettings) -> "BatchingParameters":
    import tensorflow as tf

    from sagan_tf.serving.server.batching import FOR_GPUS, NO_BATCHING, BatchingParameters
    from sagan_tf.serving.server.batching_parameters import read_parameters

    if not settings.enable_batching:
        return NO_BATCHING
    if settings.batching_parameters_file is not None:
        return read_parameters(settings.batching_parameters_file)
    return FOR_GPUS if tf.config.get_visible_devices("GPU") else BatchingParameters()


def _configs(settings: ServeSettings, temporary: Path) -> "list[ModelConfig]":
    """The models to serve; what ships is exported to `temporary`."""
    import tensorflow as tf

    from sagan_tf import pretrained
    from sagan_tf.serving.exporting.exported_run import restore_run
    from sagan_tf.serving.exporting.saved_model import write_version
    from sagan_tf.serving.server.model_config import ModelConfig, read_model_configs

    name = settings.model_name
    base_path = settings.model_base_path or f"exports/{name}"
    ships = settings.model_config_file is None and pretrained.is_name(base_path)
    if settings.model_config_file is not None:
        configs = read_model_configs(settings.model_config_file)
    else:
        configs = [ModelConfig(name, temporary if ships else Path(base_path))]
    if not ships:
        for config in configs:
            config.check_versions()
    threads = settings.tensorflow_intra_op_parallelism
    if threads is None:
        threads = 0 if any(config.is_large() for config in configs) else 1
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    if ships:
        write_version(temporary, 1, *restore_run(base_path, name, FREE_SETTINGS))
    return configs


def _gateway(settings: ServeSettings, address: str) -> Any:
    from sagan_tf.serving.gateway import app as gateway
    from sagan_tf.serving.gateway import callers
    from sagan_tf.serving.gateway.admission import Limits
    from sagan_tf.serving.gateway.json_log import use_json

    keys: Mapping[str, str] = {}
    if settings.api_key_file is None:
        print("warning: without `--api_key_file` everyone may call the gateway", flush=True)
    else:
        keys = key_file = callers.KeyFile(Path(settings.api_key_file))
        signal.signal(signal.SIGHUP, lambda number, frame: key_file.reload())
    proxies = callers.read_networks(settings.trusted_proxies)
    print(f"guarding: {settings.upstream} at {address}/v1/models/{settings.model_name}", flush=True)
    use_json()
    return gateway.make_gateway(
        gateway.GatewaySettings(
            upstream=_upstream(settings),
            model_names=(settings.model_name,),
            labels=settings.labels,
            limits=Limits(max_body_bytes=_max_body_bytes(settings), max_rows=settings.max_rows),
            requests_per_minute=settings.requests_per_minute,
            images_per_minute=settings.images_per_minute,
            timeout_seconds=settings.rest_api_timeout_in_ms / 1000,
            max_in_flight=settings.max_in_flight,
            max_in_flight_per_caller=settings.max_in_flight_per_caller,
            max_answer_bytes=settings.max_answer_bytes,
            keys=keys,
            trusted_proxies=proxies,
        )
    )


def _check(settings: ServeSettings) -> None:
    if settings.rest_api_port is not None and not 0 <= settings.rest_api_port < 2**16:
        raise ValueError(
            f"`--rest_api_port` must be in [0, 65535]. Received: {settings.rest_api_port}"
        )
    if settings.gateway:
        _upstream(settings)
        for name in OF_MODELS:
            if getattr(settings, name):
                raise ValueError(f"`--{name}` is for models, not for a `--gateway`. Leave it out.")
    if settings.add_key is not None and settings.api_key_file is None:
        raise ValueError("`--add_key` needs `--api_key_file`, the file to which it adds a line.")
    check_model_name(settings.model_name, "`--model_name`")
    names = (settings.model_name, *settings.labels) if settings.gateway else ()
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) or name in (".", ".."):
            raise ValueError(
                "A gateway's `--model_name` and `--labels` must have 1 to 64 letters, digits, `.`, "
                f"`_` and `-`, and not be `.` or `..`. Received: {name!r}"
            )


def _upstream(settings: ServeSettings) -> str:
    """Returns the address of the server to guard.

    Raises:
        ValueError: if there is none, or it is no address.
    """
    upstream = settings.upstream or ""
    if not upstream.startswith(("http://", "https://")):
        raise ValueError(
            "`--gateway` needs `--upstream`, an address that begins with http:// or https://. "
            f"Received: {settings.upstream!r}"
        )
    return upstream


if __name__ == "__main__":
    # The gateway needs no TensorFlow, and its container has none.
    command.run(main, ServeSettings, tensorflow=False)
