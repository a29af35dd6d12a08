//! Synthetic transthoracic echo cines of every view from one beating-heart model
