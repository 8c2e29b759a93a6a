"""The proxy-label factory: teachers say what moves, checks say how far to believe them, files keep what is left."""
