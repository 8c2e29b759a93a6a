"""`flowdistill data check`: opens every file used by a data config and reports problems."""
