"""What tests of several tiers share: running files and firms through the simulator."""
