"""Train every method in one loop: phases, updates, checkpoints, devices and processes.

The engine knows no method.
"""
