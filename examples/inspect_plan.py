"""What would serve each light of a night, and how well; no pixel is read.

python examples/inspect_plan.py NIGHT
"""

import sys
from collections import defaultdict

import autoreduce

frames = autoreduce.scan(sys.argv[1])
plan = autoreduce.make_plan(frames)

# Lights of one setup are alike in all that masters are chosen by.
setups = defaultdict(list)
for task in plan.tasks:
    if task.action == "calibrate":
        setups[task.frames[0].setup].append(task)

for setup, tasks in setups.items():
    print(f"\n{setup}: {', '.join(task.frames[0].file for task in tasks)}")
    for need, use in plan.uses.get(setup, {}).items():
        if use.output:
            print(f"  {need:5} {use.output}  level {use.level}: {use}")
    for remark in tasks[0].missing:
        print(f"  missing: {remark}  ({remark.code})")

for row in frames[~frames["use"]].itertuples():
    print(f"\nleft out: {row.file}: {row.why_not}  ({row.code})")

for remark in plan.notes:
    print(f"\n{remark.severity}: {' '.join(remark.subject)} {remark}  ({remark.code})")
