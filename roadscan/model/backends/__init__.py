"""What may run a network: PyTorch, OpenVINO, ONNX Runtime, TensorRT; and the gate that each has to pass."""
