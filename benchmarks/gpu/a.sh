#!/usr/bin/env bash
# Call A: do the CUDA paths work, and how long does a step take? Ends within SECONDS (default 225).
# usage: bash benchmarks/gpu/a.sh [SECONDS]; all it finds is in $OUT, best.json also in $DRILL_HOME
# Exits 1 where records made here would not name the packed commit: then do not go on to call B.
set -u
begun=$SECONDS limit=${1:-225}
left() { echo $((limit - SECONDS + begun)); }
. "$(dirname "$0")/env.sh"
rm -f "$DRILL_HOME"/{best.json,pytest.done}
{
  date
  timeout 10 nvidia-smi || echo 'no nvidia-smi'
  g++ --version | head -1 || echo 'NO g++: graph and compiled cannot work, captured can'
  timeout 60 python3 -c 'import torch as t, triton; print(t.__version__, triton.__version__, t.cuda.is_available())'
  timeout 60 python3 -m repro.cli --help >/dev/null && echo 'imports: ok'
  timeout 20 python3 -c 'from repro.machine.commit import commit as c; from repro.store.places import ROOT; print("commit, dirty:", *c(ROOT))'
} >"$OUT/a.log" 2>&1
fault=$(commit_fault 2>>"$OUT/a.log")
# The tests need no quiet device, so they run while the arms compile. "not graph" would match the
# module's name: the names wanted are listed instead.
names='replays or no_block or lanes_alone or tf32_rounds or (ten_steps and captured)'
names="$names or (continued and captured) or (on_streams and captured)"
workers=$(python3 -c 'import xdist' 2>/dev/null && echo '-n 6')
(
  timeout -k 5 "$(($(left) * 2 / 5))" python3 -m pytest -m cuda $workers -p no:cacheprovider --durations=5 \
    -k "${DRILL_TESTS:-$names}" tests/test_graph_cuda.py >"$OUT/pytest.log" 2>&1
  echo "exit code $?" | tee -a "$OUT/pytest.log" >"$DRILL_HOME/pytest.done"
) &
timeout -k 5 "$(($(left) - 5))" python3 $here/drill.py arms "$(($(date +%s) + $(left) - 12))" "$OUT" \
  >>"$OUT/a.log" 2>&1 || echo "drill.py: exit code $?" >>"$OUT/a.log"
# For later on the same kind of device: what was compiled, where it is small enough.
timeout 6 tar czf "$DRILL_HOME/cache.tgz" -C "$DRILL_HOME" cache 2>/dev/null &&
  [ "$(stat -c %s "$DRILL_HOME/cache.tgz")" -lt 16000000 ] && cp "$DRILL_HOME/cache.tgz" "$OUT/"
tail -n 4 "$OUT/pytest.log"
python3 - "$OUT/best.json" <<'END' || tail -n 20 "$OUT/a.log"
import json, sys
found = json.load(open(sys.argv[1]))
print(json.dumps(found["choice"], indent=1))
for name, e in found["arms"].items():
    print(name, {k: v for k, v in e.items() if "error" in k or k in ("ms", "first_block_seconds", "failed", "late")})
END
echo "call A took $((SECONDS - begun)) s"
if [ -n "$fault" ]; then
  echo "FAILED: $fault. Nothing trained here could be published: commit, run prepare.sh, begin again" |
    tee -a "$OUT/a.log"
  exit 1
fi
