"""`faceedit web`: a page to edit a photo on, by a click on the circumplex."""
