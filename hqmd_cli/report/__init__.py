"""`--report`: one page that shows what was measured, and on which pictures it came about.

page.py puts it together: rows.py has the figures as printed, choice.py says which pictures are shown, pictures.py draws
them, chart.py draws the error over depth, and report.html.jinja with report.css and report.js is what a browser gets.
"""
