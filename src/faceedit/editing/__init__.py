"""From a photo and a request to the edited photo."""
