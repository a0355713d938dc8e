"""Checks the Keras settings that commands depend on, before Keras is imported."""

import json
import os
import sys
from pathlib import Path

# Settings that commands need; other backends lack `tf.data` and `tf.distribute`.
NEEDED = {"backend": "tensorflow", "image_data_format": "channels_last", "floatx": "float32"}
_WAY_OUT = {
    "backend": "set KERAS_BACKEND=tensorflow in the environment",
    "image_data_format": 'write "image_data_format": "channels_last" there',
    "floatx": 'write "floatx": "float32" there; `--dtype_policy` chooses mixed precision',
}


def check_keras_settings() -> None:
    """Checks that Keras has the settings that commands need.

    Settings come from the environment variable `KERAS_BACKEND`, from `keras.json` in `$KERAS_HOME`
    or `~/.keras`, and, if Keras has been imported, as in a notebook, from `keras.config`.

    Raises:
        ValueError: for another backend than TensorFlow, another `image_data_format` than
            channels_last, or another `floatx` than float32; the message says where it is set.
    """
    for name, needed in NEEDED.items():
        value, place = _value_and_place(name)
        if value != needed:
            raise ValueError(
                f"Keras' `{name}` must be {needed!r}: {_way_out(name, place)}. "
                f"Received: {value!r}, from {place}"
            )


def keras_json() -> Path:
    """The path of the file from which Keras reads its settings."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser() / "keras.json"
    home = Path.home()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras" / "keras.json"


def _value_and_place(name: str) -> tuple[str, str]:
    value, place = NEEDED[name], "Keras' default"
    path = keras_json()
    settings = _read(path)
    if name in settings:
        value, place = settings[name], str(path)
    if name == "backend" and os.environ.get("KERAS_BACKEND"):
        value, place = os.environ["KERAS_BACKEND"], "the environment variable KERAS_BACKEND"
    keras = sys.modules.get("keras")
    if keras is not None:
        now = keras.config.backend() if name == "backend" else getattr(keras.config, name)()
        if now != value:
            value, place = now, f"this process, by `keras.config.set_{name}` or before"
    return value, place


def _way_out(name: str, place: str) -> str:
    if not place.startswith("this process"):
        return _WAY_OUT[name]
    if name == "backend":
        return "restart Python, and set KERAS_BACKEND=tensorflow before Keras is imported"
    return f"call `keras.config.set_{name}({NEEDED[name]!r})`"


def _read(path: Path) -> dict[str, str]:
    """The file's settings; empty for a file that Keras would ignore as well."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}
