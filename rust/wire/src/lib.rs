//! Header views of the protocols that cross the engine.
