"""From a trained generator to images over HTTP.

Export: `folding` computes beforehand what the weights alone decide, `signatures` says what can be
asked, `saved_model` writes a version with its `warmup` and `model_card`, `lint` looks for what
keeps any SavedModel from being served. `file_formats` writes one file for other programs, by
`onnx_format`, `tflite_format` or `keras_format`. `comparison` has the images that all must give.

Server: `server` takes HTTP (`connections` sets deadlines), `rest` answers by TensorFlow Serving's
rules, `json_tensors` and `messages` read and write its formats, `versions` keeps models loaded, and
`batching`, with its `batching_parameters` and what `joining` allows, computes calls together.

Gateway: `gateway` stands in front of a server. `callers` tells who calls, `quotas` how much each
may have, `admission` checks the body, `upstream` asks the server, `model_watch` knows its models,
`json_log` writes the log.

For people: `client` asks a server, `page` and its `gallery` show it, behind `page_guard`.
"""
