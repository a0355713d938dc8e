"""From a trained generator to images over HTTP.

Export: `exported_run` restores what a run brings. `folding` computes beforehand what the weights
alone decide, `signatures` says what can be asked, `saved_model` writes a version with its `warmup`
and `model_card`, `lint` looks for what keeps any SavedModel from being served. `file_formats`
writes one file for other programs, by `onnx_format`, `tflite_format`, `keras_format` or
`html_format`. `hub_card` is the card of what is published on the Hugging Face Hub. `comparison` has
the images that all must give.

Server: `server` takes HTTP and `rest` answers by TensorFlow Serving's rules. `guarded_server` runs
either it or the gateway, with deadlines (`connections`) and caps (`connection_table`).
`json_inputs`, `json_outputs` and `protobufs` read and write TensorFlow Serving's formats.
`versions` keeps the models of a `model_config` loaded, each a `loaded_version` under one of the
`model_names`. `batching`, with its `batching_parameters` and what `joining` allows, computes calls
together.

Gateway: `gateway` stands in front of a server. `callers` tells who calls, `quotas` how much each
may have, `admission` checks the body, `upstream` asks the server, `model_watch` knows its models,
`gateway_metrics` counts, `json_log` writes the log.

Texts of error answers have no file of their own. Each stands where it is raised, in some 80 lines:
search for `RequestError(` (a class of `rest`) and `TensorError(` (of `json_inputs`). Most are in
`json_inputs` (values), `admission` (the gateway's check of the body) and `rest` (address and form
of a call). Besides, `upstream` has a table of them, `signatures` asserts in the graph
(`loaded_version` turns that into a text), `connections` refuses what is too large, too late or not
HTTP before a call is read, and `rest` and `gateway` have the answers to failures of their own.

For people: `client` asks a server. The playground is a web page: `page_layout` has its controls
with all labels and explanations, `page` their handlers and messages, `gallery` makes the pictures
and their titles, and `page_guard` stands in front, with refusals of its own.
"""
