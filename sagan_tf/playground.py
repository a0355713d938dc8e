"""Shows a served generator on a web page: images by class, attention, interpolations.

python -m sagan_tf.playground --url=http://127.0.0.1:8501
"""

import dataclasses
import os
import signal
import urllib.parse

from sagan_tf import command
from sagan_tf.extras import extra
from sagan_tf.fields import setting
from sagan_tf.serving.client import Client
from sagan_tf.serving.playground.gallery import Gallery

KEY_VARIABLE = "SAGAN_TF_API_KEY"


@dataclasses.dataclass(frozen=True)
class PlaygroundSettings:
    """Command-line flags of `playground`."""

    url: str = setting(
        "http://127.0.0.1:8501",
        f"Address of the model's server or of a gateway, whose key is read from ${KEY_VARIABLE}.",
    )
    model_name: str = setting("sagan", "Name of the model there.")
    public_url: str | None = setting(
        None, "Address of the server in the page's curl lines; without it that of `--url`."
    )
    host: str = setting(
        "127.0.0.1", "Address to listen at; 0.0.0.0 for all addresses of this machine."
    )
    port: int = setting(7860, "Port to listen at.")
    allowed_hosts: tuple[str, ...] = setting(
        (), "Host names under which browsers reach the page, beside addresses and this machine's."
    )


def main(settings: PlaygroundSettings) -> None:
    """Serves the page until SIGTERM or Ctrl-C."""
    if not 0 < settings.port < 2**16:
        raise ValueError(f"`--port` must be in [1, 65535]. Received: {settings.port}")
    for name in ("url", "public_url"):
        address = getattr(settings, name)
        if address is not None and not address.startswith(("http://", "https://")):
            raise ValueError(f"`--{name}` must begin with http:// or https://. Received: {address}")
    with extra("playground"):
        from sagan_tf.serving.playground import page
        from sagan_tf.serving.server import app as server
    with server.bind(settings.host, settings.port):
        pass  # Gradio's own message for a port in use is less clear.
    key = os.environ.get(KEY_VARIABLE)
    client = Client(settings.url, settings.model_name, retries=1, api_key=key)
    public_url = (settings.public_url or settings.url).rstrip("/")
    model = urllib.parse.quote(settings.model_name, safe="")
    gallery = Gallery(
        client, f"{public_url}/v1/models/{model}:predict", KEY_VARIABLE if key else None
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    made = page.make_page(gallery, settings.model_name)
    page.show(made, settings.host, settings.port, settings.allowed_hosts)


if __name__ == "__main__":
    command.run(main, PlaygroundSettings, tensorflow=False)
