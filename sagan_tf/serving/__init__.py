"""From a trained generator to images over HTTP.

Export: `folding` computes beforehand what the weights alone decide, `signatures` says what can be
asked, `saved_model` writes a version with its `warmup` and `model_card`, `lint` looks for what
keeps any SavedModel from being served. `file_formats` writes one file for other programs, by
`onnx_format`, `tflite_format`, `keras_format` or `html_format`. `hub_card` is the card of what is
published on the Hugging Face Hub. `comparison` has the images that all must give.

Server: `server` takes HTTP and `rest` answers by TensorFlow Serving's rules. `guarded_server` runs
either it or the gateway, with deadlines (`connections`) and caps (`connection_table`).
`json_inputs`, `json_outputs` and `protobufs` read and write TensorFlow Serving's formats.
`versions` keeps the models of a `model_config` loaded, each a `loaded_version` under one of the
`model_names`. `batching`, with its `batching_parameters` and what `joining` allows, computes calls
together.

Gateway: `gateway` stands in front of a server. `callers` tells who calls, `quotas` how much each
may have, `admission` checks the body, `upstream` asks the server, `model_watch` knows its models,
`gateway_metrics` counts, `json_log` writes the log.

What a caller is told when something is wrong stands where it is raised: as `rest.RequestError`, as
`json_inputs.TensorError`, or, of what is no HTTP, in `connections`.

For people: `client` asks a server, `page` (with its `page_layout`) and `gallery` show it, behind
`page_guard`.
"""
