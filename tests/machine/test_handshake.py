import concurrent.futures
import socket

import pytest

from sagan_tf.machine.cluster import Cluster
from sagan_tf.machine.handshake import _answering, await_workers
from tests.support.workers import free_addresses


def test_a_taken_port_is_named():
    with socket.create_server(("", 0)) as server:
        own = f"127.0.0.1:{server.getsockname()[1]}"
        cluster = Cluster({"worker": (own, "127.0.0.1:1")}, "worker", 0)
        with pytest.raises(ValueError, match=f"{own}, cannot be listened at: Address already"):
            await_workers(cluster, 1, 1)


def test_another_program_at_a_worker_s_address_is_none():
    own, other = free_addresses(2)
    with socket.create_server(("", int(other.rpartition(":")[2]))):
        cluster = Cluster({"worker": (own, other)}, "worker", 0)
        with pytest.raises(ValueError, match=f"1 of 2 workers did not come up .*: {other}"):
            await_workers(cluster, 1, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": 0}, r"must have the index 1, .* Received: 0"),
        ({"replicas": 8}, r"must have the replicas 4, .* Received: 8"),
        ({"cluster": ["a:1"]}, r"must have the cluster \['127.*\], .* Received: \['a:1'\]"),
    ],
)
def test_a_worker_that_does_not_fit(change, message):
    addresses = free_addresses(2)
    answer = {"cluster": addresses, "replicas": 4, "index": 1, "knows all": False} | change
    cluster = Cluster({"worker": tuple(addresses)}, "worker", 0)
    with _answering(addresses[1], answer), pytest.raises(ValueError, match=message):
        await_workers(cluster, 4, 5)


def test_workers_that_know_each_other_go_on():
    addresses = tuple(free_addresses(3))
    clusters = [Cluster({"worker": addresses}, "worker", index) for index in range(3)]
    servers = []

    def go_on(cluster):
        await_workers(cluster, 1, 20)
        # As TensorFlow's server, which says nothing.
        port = int(addresses[cluster.index].rpartition(":")[2])
        servers.append(socket.create_server(("", port)))

    with concurrent.futures.ThreadPoolExecutor() as threads:
        list(threads.map(go_on, clusters))
    for server in servers:
        server.close()
    assert len(servers) == 3
