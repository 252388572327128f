"""The field's data sets, and people's own, as pictures with people in them; one module each.

The whole sets for person search are `prw` and `cuhk_sysu`; their `load_train` gives pictures to learn from, their `load_test` a gallery
and queries for `personsearch.evaluation`. What is missing or broken is a `DataError` that says what to download.
"""
