"""Stand-ins for the outside world: what tests and demos run against."""
