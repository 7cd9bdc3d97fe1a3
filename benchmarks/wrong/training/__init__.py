"""Wrong versions of gradients, optimizers and schedules."""
