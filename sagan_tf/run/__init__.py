"""What a run keeps in its workdir, so that it can be continued and used.

`checkpoint` writes and verifies variables, `workdir` the settings that later commands read,
`data_set` what identifies the data; `finite` keeps broken numbers out of checkpoints.
"""
