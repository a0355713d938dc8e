"""What a process computes on.

`startup` and `keras_settings` act before TensorFlow and Keras are imported; `devices` makes the
strategy of one or several replicas, `cluster` knows the other workers, `handshake` waits for them,
`team` exchanges texts with them, and `memory` compares what training needs with what there is.
"""
