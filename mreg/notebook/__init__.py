"""Results in a notebook: as HTML, and as data frames of pandas. Both have the keys of the JSON form as columns."""
