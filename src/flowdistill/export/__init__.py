"""Networks as files for other runtimes, checked against the network they were made from."""
