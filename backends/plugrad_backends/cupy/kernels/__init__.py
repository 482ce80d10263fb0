"""CUDA kernels of plugrad's own: their sources, and what compiles and launches them.

Nothing here imports CuPy before a kernel is compiled or launched, so the sources can be examined anywhere.
"""
