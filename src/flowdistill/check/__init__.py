"""`flowdistill data check`: opens every file that a data config names and says what is wrong with it."""
