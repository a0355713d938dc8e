"""Does attention help geometry more than texture? Arms, runs, measures, statistics, a report."""
