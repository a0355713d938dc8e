import pytest
import tensorflow as tf

from sagan_tf.machine.cluster import Cluster
from sagan_tf.machine.team import SINGLE_PROCESS, Team


def test_parts_are_whole_and_disjoint():
    addresses = ("a:1", "b:1", "c:1")
    teams = [Team(None, Cluster({"worker": addresses}, "worker", index)) for index in range(3)]
    parts = [list(team.shard(range(10))) for team in teams]
    assert [number for part in parts for number in part] == list(range(10))
    assert {len(part) for part in parts} == {3, 4}
    assert [team.is_chief for team in teams] == [True, False, False]
    assert list(teams[0].shard(range(10), 2)) == parts[2]
    assert SINGLE_PROCESS.shard(range(10)) == range(10)
    assert SINGLE_PROCESS.all_gather("x") == ["x"]


class Scripted(Team):
    """One of two workers, whose barriers end as they are told."""

    def __init__(self, *errors):
        super().__init__(None, Cluster({"worker": ("a:1", "b:1")}, "worker", 0))
        self.left = list(errors)

    def barrier(self):
        error = self.left.pop(0)
        if error is not None:
            raise error


def test_who_has_passed_the_last_barrier_may_leave_first():
    closed = tf.errors.UnavailableError(None, None, "Socket closed; /job:worker/task:1")
    for errors in ([None, None], [None, closed]):
        team = Scripted(*errors)
        with team.complete():
            assert len(team.left) == 2
        assert team.left == []
    with (
        pytest.raises(ValueError, match="Worker b:1 was lost"),
        Scripted(closed).complete(),
    ):
        pass
    with SINGLE_PROCESS.complete():
        pass
