"""A deterministic simulation of store, bus and consumers: seeds, fault points, and a model of what must come out.

Run: python -m tests.simulation --steps 1000000 --seed 1
"""
