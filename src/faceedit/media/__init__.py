"""Photos, videos and drawn pictures: files to arrays and back, and what a file says of itself."""
