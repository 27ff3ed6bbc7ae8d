"""`hqmd serve`: depth over HTTP, and a page. Needs the extra `serve`."""
