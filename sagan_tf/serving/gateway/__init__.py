"""A guard in front of TensorFlow Serving, or of `server`, which know neither keys nor quotas.

`app` takes the calls. `callers` tells who calls, `quotas` how much each may have, `admission`
checks the body, `upstream` asks the server, `model_watch` knows its models, `metrics` counts,
`json_log` writes the log.
"""
