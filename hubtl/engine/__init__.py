"""The loop that trains every method: phases, updates, checkpoints, devices and processes. It knows no method."""
