"""What a process computes on.

`startup` and `keras_settings` act before TensorFlow and Keras are imported. `processors` counts
what there is, `devices` makes the strategy of one or several replicas, and `memory` compares what
training needs with what is left. Of several workers `cluster` knows who they are, `handshake`
waits for them, and `team` exchanges texts with them.
"""
