"""Read replicas: a real streaming standby, and nobody who misses there what his organization has written."""
