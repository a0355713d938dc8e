"""The files of a run's workdir, with which it can be resumed and used.

`checkpoint` writes and reads variables, and skips damaged checkpoints; `workdir` writes and reads
the description and scores that later commands read. `data_set` identifies the run's data, and
`finite` keeps NaN and infinity out of checkpoints.
"""
