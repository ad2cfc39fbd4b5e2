"""The model: its file, its network, and inference on batches of pixels."""
