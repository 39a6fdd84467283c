"""Compiled kernels for CPUs, and the torch modules and autograd functions that call them."""
