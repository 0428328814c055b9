"""How work is done: jobs, stored results, memory, threads, compiled loops."""
