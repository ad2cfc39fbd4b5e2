"""Sweeps: which loss, which size of network, which learning rate a department should train with."""
