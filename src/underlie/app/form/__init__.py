"""A form for one row of a table: its fields from the schema, what was entered, and the row that a model takes.

``fields.py``   what can be entered into each column, without Shiny
``entry.py``    from what was entered to a row, with what must be said about it
``inputs.py``   the fields as controls of a page
"""
