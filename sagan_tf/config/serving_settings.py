"""Settings of the server of models, and of the gateway in front of one."""

import dataclasses
import functools

from sagan_tf.fields import device_setting, setting

# What a gateway does not read.
OF_MODELS = (
    "model_base_path",
    "model_config_file",
    "batching_parameters_file",
    "rest_api_enable_cors_support",
)
_of_gateway = functools.partial(setting, only_with="gateway")


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """Command-line flags of `serve`, with the names that `tensorflow_model_server` gives them."""

    model_name: str = setting("sagan", "Name of the model in addresses.")
    model_base_path: str | None = setting(
        None,
        "Directory that holds the model's versions, or digits, which ship with the package; "
        "without it exports/<model_name>.",
    )
    model_config_file: str | None = setting(
        None,
        "Instead: file of models, version policies and labels, in TensorFlow Serving's format.",
    )
    rest_api_port: int | None = setting(
        None, "Port to listen at, 0 for a free one; without it 8501, or 8080 for a gateway."
    )
    rest_api_host: str = setting(
        "127.0.0.1", "Address to listen at; 0.0.0.0 for all addresses of this machine."
    )
    rest_api_num_threads: int = setting(8, "Calls that run at the same time.", above=0)
    rest_api_timeout_in_ms: int = setting(
        30_000, "Milliseconds after which a call is answered with 504.", above=0
    )
    rest_api_enable_cors_support: bool = setting(
        False, "Let web pages of other sites read answers."
    )
    file_system_poll_wait_seconds: float = setting(
        1.0, "Seconds between looks for new versions on disk.", above=0
    )
    device: str = device_setting()
    enable_batching: bool = setting(True, "Join concurrent calls into one call of the model.")
    tensorflow_intra_op_parallelism: int | None = setting(
        None,
        "Threads of one operation, 0 for all cores; without it 1 if the weights of all models are "
        "small, so that more callers are served, else 0.",
        at_least=0,
    )
    batching_parameters_file: str | None = setting(
        None, "File of limits of joined calls, in TensorFlow Serving's format."
    )
    max_body_bytes: int | None = setting(
        None,
        "Most bytes of a request's body, also after it is inflated; without it 4 MiB, or 256 KiB "
        "for a gateway.",
        above=0,
    )
    max_connections: int = setting(
        512, "Most open connections; for further ones, idle ones are closed.", above=0
    )
    max_connections_per_address: int = setting(128, "Most of these from one address.", above=0)

    # In front of another server of this API, which alone should be able to reach it.
    gateway: bool = setting(False, "Instead of a model: guard the server at `--upstream`.")
    upstream: str | None = _of_gateway(
        None, "Address of the server to guard, as in http://127.0.0.1:8501."
    )
    labels: tuple[str, ...] = _of_gateway((), "Labels of versions that callers may ask for.")
    api_key_file: str | None = setting(
        None,
        "File with a line name:sha256 for the key of each caller; without it everyone may call.",
        only_with="gateway add_key",
    )
    add_key: str | None = setting(
        None, "Instead: make a key for this name, print it and add its line to the file."
    )
    max_rows: int = _of_gateway(64, "Most images that one request may ask for.", above=0)
    requests_per_minute: int = _of_gateway(
        600, "Most requests per minute of each key, or of each address without keys.", above=0
    )
    images_per_minute: int = _of_gateway(
        6000, "Most images per minute of each key, or of each address without keys.", above=0
    )
    max_in_flight: int = setting(
        64, "Most calls that wait for the model at the same time.", above=0
    )
    max_in_flight_per_caller: int = _of_gateway(
        16, "Most of these from one key or address.", above=0
    )
    max_answer_bytes: int = _of_gateway(
        64 * 2**20, "Most bytes of an answer; requests for more images are refused.", above=0
    )
    trusted_proxies: tuple[str, ...] = setting(
        (), "Addresses or networks of proxies whose X-Forwarded-For is believed; without it, none."
    )
