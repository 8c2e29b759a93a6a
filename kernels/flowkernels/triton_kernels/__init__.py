"""The Triton kernels with their launch functions, imported only when a kernel is needed."""
