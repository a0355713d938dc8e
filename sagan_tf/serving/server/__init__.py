"""A REST server with TensorFlow Serving's API, on which generators can be tried and served.

`app` takes HTTP and `rest` answers by TensorFlow Serving's rules. `json_inputs`, `json_outputs` and
`protobufs` read and write its formats. `versions` keeps the models of a `model_config` loaded, each
a `loaded_version` under one of the `model_names`. `batching`, with its `batching_parameters` and
what `joining` allows, computes calls together; `signature_inputs` knows which inputs are valid.
"""
