"""Devices, memory and worker processes.

`startup` and `keras_settings` act before TensorFlow and Keras are imported. `processors` counts
cores and finds GPUs, `devices` decides how many replicas there are and makes their strategy, and
`memory` compares the memory that training needs with what is available. `compiled` keeps what XLA
compiles for a GPU. With several workers,
`cluster` describes them, `handshake` waits for them, and `team` exchanges texts with them.
"""
