"""Recording: the only room that runs pipelines and reads the clock."""
