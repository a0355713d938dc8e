"""The few protocol buffer messages of TensorFlow Serving that are read and written here.

`tensorflow-serving-api` has them, but requires gRPC and a TensorFlow version of its own. Names and
numbers are those of TensorFlow Serving's `model_server_config.proto`, `prediction_log.proto`,
`session_bundle_config.proto`, `predict.proto` and `model.proto`. Fields that are left out here are
ignored when a message is read.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

_PACKAGE = "sagan_tf.serving"
_TENSOR = tensor_pb2.TensorProto.DESCRIPTOR
_SCALARS = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "uint32": descriptor_pb2.FieldDescriptorProto.TYPE_UINT32,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
}

# Name, number and type of each message's fields. `*` is a list, and `{}` a map from strings.
_MESSAGES = {
    # model_server_config.proto and file_system_storage_path_source.proto
    "ModelServerConfig": [("model_config_list", 1, "ModelConfigList")],
    "ModelConfigList": [("config", 1, "*ModelConfig")],
    "ModelConfig": [
        ("name", 1, "string"),
        ("base_path", 2, "string"),
        ("model_platform", 4, "string"),
        ("model_version_policy", 7, "VersionPolicy"),
        ("version_labels", 8, "{}int64"),
    ],
    "VersionPolicy": [
        ("latest", 100, "Latest"),
        ("all", 101, "All"),
        ("specific", 102, "Specific"),
    ],
    "Latest": [("num_versions", 1, "uint32")],
    "All": [],
    "Specific": [("versions", 1, "*int64")],
    # session_bundle_config.proto, with protobuf's `wrappers.proto`
    "Int64Value": [("value", 1, "int64")],
    "BatchingParameters": [
        ("max_batch_size", 1, "Int64Value"),
        ("batch_timeout_micros", 2, "Int64Value"),
        ("max_enqueued_batches", 3, "Int64Value"),
        ("num_batch_threads", 4, "Int64Value"),
        ("allowed_batch_sizes", 6, "*int64"),
    ],
    # prediction_log.proto, predict.proto and model.proto
    "PredictionLog": [("predict_log", 6, "PredictLog")],
    "PredictLog": [("request", 1, "PredictRequest")],
    "PredictRequest": [("model_spec", 1, "ModelSpec"), ("inputs", 2, "{}TensorProto")],
    "ModelSpec": [("name", 1, "string"), ("signature_name", 3, "string")],
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[_TENSOR.file.name],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            if kind.startswith("{}"):
                entry = message.nested_type.add(name=f"{field.title().replace('_', '')}Entry")
                entry.options.map_entry = True
                _add_field(entry, "key", 1, "string")
                _add_field(entry, "value", 2, kind.removeprefix("{}"))
                kind = f"*{name}.{entry.name}"
            _add_field(message, field, number, kind)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
    kind = kind.removeprefix("*")
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = field.TYPE_MESSAGE
        known = kind == "TensorProto"
        field.type_name = f".{_TENSOR.full_name}" if known else f".{_PACKAGE}.{kind}"


def _message_class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


_POOL = descriptor_pool.Default()
_POOL.Add(_file())
BatchingParameters = _message_class("BatchingParameters")
ModelServerConfig = _message_class("ModelServerConfig")
PredictionLog = _message_class("PredictionLog")
