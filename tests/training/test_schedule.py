from sagan_tf.training.schedule import Schedule

SCHEDULE = Schedule(steps=25, steps_per_call=8, log_every=10, sample_every=7, checkpoint_every=20)


def test_no_call_runs_past_what_is_due():
    steps = [0]
    while steps[-1] < 25:
        steps.append(steps[-1] + SCHEDULE.steps_until_due(steps[-1]))
    assert steps == [0, 7, 10, 14, 20, 21, 25]


def test_grids_come_soon_where_one_would_wait_long():
    schedule = Schedule(
        steps=1000, steps_per_call=200, log_every=300, sample_every=400, checkpoint_every=500
    )
    steps = [0]
    while steps[-1] < 1000:
        steps.append(steps[-1] + schedule.steps_until_due(steps[-1]))
    assert [step for step in steps[1:] if schedule.samples_due(step)] == [
        *(50, 100, 200),
        *(400, 800, 1000),
    ]
    # Where grids are frequent, none is added.
    assert [step for step in range(1, 26) if SCHEDULE.samples_due(step)] == [7, 14, 21, 25]


def test_what_is_done_every_0_steps_is_never_due():
    assert not SCHEDULE.due(0, 0)
    assert not SCHEDULE.due(25, 0)


def test_at_the_end_all_is_due():
    assert [step for step in range(1, 26) if SCHEDULE.due(step, 10)] == [10, 20, 25]
