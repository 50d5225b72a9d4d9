"""What the engine is made of: cohorts of pages, accesses, and the tick loop."""
