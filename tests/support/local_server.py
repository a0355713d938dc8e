"""Runs the REST server, and the gateway, in threads of the test's process."""

import contextlib
import threading
import time

from sagan_tf.serving.gateway.app import GatewaySettings, make_gateway
from sagan_tf.serving.http.guarded_server import make_server
from sagan_tf.serving.server.app import bind, make_app
from sagan_tf.serving.server.model_config import ModelConfig
from sagan_tf.serving.server.versions import ServedModels


@contextlib.contextmanager
def serving(*configs, at=0, connections=None, **arguments):
    """Yields the port at which the models of `configs` are served, and the models.

    Args:
        configs: `(name, base_path)` or `ModelConfig`.
        at: the port, 0 for a free one.
        connections: `ConnectionLimits`.
        arguments: of `make_app`.
    """
    models = ServedModels(
        [config if isinstance(config, ModelConfig) else ModelConfig(*config) for config in configs]
    )
    models.update()
    app = make_app(models, **{"poll_seconds": 0.05, **arguments})
    with running(app, at, connections) as port:
        yield port, models


@contextlib.contextmanager
def guarding(upstream_port, connections=None, **settings):
    """Yields the port of a gateway to `upstream_port`, with `GatewaySettings`."""
    upstream = f"http://127.0.0.1:{upstream_port}"
    settings = {"model_names": ("sagan",), "requests_per_minute": 100_000, **settings}
    with running(
        make_gateway(GatewaySettings(upstream=upstream, **settings)), 0, connections
    ) as port:
        yield port


@contextlib.contextmanager
def running(app, at=0, connections=None):
    """Yields the port of a server of the application."""
    with bind("127.0.0.1", at) as listener:
        server = make_server(app, connections)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
