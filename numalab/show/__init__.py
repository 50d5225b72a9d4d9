"""Pictures of a workload and of single runs, and sliders that draw them anew.

Import the modules: ``address_space.draw(workload)``, ``space_time.draw(runs)``.
"""
