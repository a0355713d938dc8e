"""A web page that shows what a served generator draws, and what it attends to.

`layout` has the controls with all labels and explanations, `page` their handlers and messages,
`gallery` makes the pictures and their titles, and `guard` stands in front, with refusals of its
own.
"""
