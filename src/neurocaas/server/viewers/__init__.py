"""What the results page shows of a result file: opened in a sandbox, read in part, drawn from few numbers, kept.

`showing` has `preview` and `picture`; `kinds` has `viewer_for` and `content_type_for`; `previews` what they return;
`shelf` has `prune`. The names are not handed out here: the worker in the sandbox imports this room too, and would wait
for all that it has no use for.
"""
