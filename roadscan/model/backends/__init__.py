"""What may run a network: PyTorch, OpenVINO, ONNX Runtime, TensorRT; all but the first have to agree with it."""
