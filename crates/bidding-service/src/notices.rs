//! Win, billing and loss notices, and the events of a creative.
