"""From a trained generator to images over HTTP.

`exporting` writes what is served. `server` answers by TensorFlow Serving's REST API, and `gateway`
stands in front of a server, with keys and quotas. Both run in the HTTP server of `http`, which has
deadlines and caps. `client` asks a server; `playground` is a web page for people that does.

Texts of error answers have no file of their own. Each stands where it is raised, in some 80 lines:
search for `RequestError(` (a class of `server.rest`) and `TensorError(` (of `server.json_inputs`).
Most are in `server.json_inputs` (values), `server.signature_inputs` (shapes and ranges),
`gateway.admission` (the gateway's check of the body) and `server.rest` (address and form of a
call). Besides, `gateway.upstream` has a table of them, `exporting.signatures` asserts in the graph
(`server.loaded_version` turns that into a text), `http.connections` refuses what is too large, too
late or not HTTP before a call is read, and `server.rest` and `gateway.app` have the answers to
failures of their own.
"""
