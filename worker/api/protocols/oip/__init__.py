"""The Open Inference Protocol v2, with the binary tensor and classification extensions of Triton.

Pure functions: no Flask, no TensorFlow. What a body may cost is checked before it is paid.
Specification: https://github.com/kserve/open-inference-protocol. Extensions:
https://github.com/triton-inference-server/server/tree/main/docs/protocol.
"""
