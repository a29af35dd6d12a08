//! Command line of tteview
