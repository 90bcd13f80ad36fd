//! The agent's decision for one frame: take the outer headers off, or leave it alone.
