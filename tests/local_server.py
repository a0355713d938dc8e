"""Runs the REST server in a thread of the test's process."""

import contextlib
import threading
import time

from sagan_tf.serving.server import bind, make_app, make_server
from sagan_tf.serving.versions import ModelConfig, ServedModels


@contextlib.contextmanager
def serving(*configs, **arguments):
    """Yields the port at which the models of `configs` are served, and the models.

    Args:
        configs: `(name, base_path)` or `ModelConfig`.
        arguments: of `make_app`.
    """
    models = ServedModels(
        [config if isinstance(config, ModelConfig) else ModelConfig(*config) for config in configs]
    )
    models.update()
    with bind("127.0.0.1", 0) as listener:
        server = make_server(make_app(models, **{"poll_seconds": 0.05, **arguments}))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield listener.getsockname()[1], models
        finally:
            server.should_exit = True
            thread.join()
