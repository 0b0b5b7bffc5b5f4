"""CIFAR-10, then ninety classes of CIFAR-100, in one update."""
