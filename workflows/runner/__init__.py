"""How a check run is executed: isolation, limits, and a result that is treated as hostile."""
