"""Where arrays live and products run: the one place that names a device. Everything that computes asks it."""
