"""Proxy labels: teachers predict motion, checks assign confidences, and confident pixels are written to files."""
