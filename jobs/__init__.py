"""The job queue on Redis: a proxy submits jobs and waits for them, workers take and finish them."""
