"""`ragprof view`: every recording of a folder on one local page. Reads recordings, runs and changes none."""
