"""The Triton kernels with their launch functions. Nothing here is imported before a kernel is needed."""
