//! tteview
