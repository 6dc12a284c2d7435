"""Arms against each other: means over seeds, intervals, tests. Numbers only: ``words`` says them."""
