"""Jobs: long work in processes of its own, here or on a Ray cluster, that survives being killed.

A ``Job`` names a function, its typed arguments and a folder; an ``Executor`` does jobs, several at
once; ``supervise`` sees them through with bars, further attempts and a clean stop. What a job is
about it does not know: that is in the function.
"""
