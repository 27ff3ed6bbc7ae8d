"""The page that shows a photo's depth: plain JavaScript and CSS without a build step, and what puts them into a page.

viewer.js says how the parts go together. `hqmd predict -o look.html` puts all of them into one file, and `hqmd serve`
serves them as they are.
"""
