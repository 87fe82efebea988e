//! The plan of a day and the controller that follows it (design section 5).
