#!/usr/bin/env bash
# Call B: trains what fits into SECONDS and leaves within them.
# usage: bash benchmarks/gpu/b.sh SECONDS [auto | seeds3 | seed1 | resume | ladder | reduced | RUN...]
set -u
begun=$SECONDS limit=$1 mode=${2:-auto} profile=${DRILL_PROFILE:-paper}
left() { echo $((limit - SECONDS + begun)); }
export TORCHINDUCTOR_COMPILE_THREADS=${TORCHINDUCTOR_COMPILE_THREADS:-14}
. "$(dirname "$0")/env.sh"
exec > >(tee "$OUT/b.log") 2>&1
fault=$(commit_fault)
if [ -n "$fault" ] && [ -z "${DRILL_UNPUBLISHED:-}" ]; then
  echo "FAILED: $fault. DRILL_UNPUBLISHED=1 trains all the same"
  exit 1
fi
for pid in $(cat "$DRILL_HOME/pids" 2>/dev/null); do kill -9 -- "-$pid"; done 2>/dev/null # hung arms
[ -s "$DRILL_HOME/best.json" ] || cp $brought/best.json "$DRILL_HOME/" 2>/dev/null || { # lost: measure anew
  quick=$(($(left) / 8))
  mkdir -p "$DRILL_HOME/quick" && touch "$DRILL_HOME/pytest.done"
  timeout -k 2 "$((quick + 5))" python3 $here/drill.py arms "$(($(date +%s) + quick))" "$DRILL_HOME/quick" quick
}
cp "$DRILL_HOME/best.json" "$OUT/" 2>/dev/null
for first in $brought/resume/ckpt-*.part-aa; do # ckpt-PROFILE-NAME.part-aa, -ab
  [ -f "$first" ] || continue
  name=$(basename "${first%.part-aa}") && folder=runs/$(cut -d- -f2 <<<"$name")/.checkpoints
  whole=$folder/${name##*-}.safetensors && mkdir -p "$folder"
  [ -f "$whole" ] || cat "${first%aa}"* >"$whole"
done
python3 $here/drill.py watch & # keeps the last checkpoint before a divergence
watcher=$!
trap 'kill $watcher 2>/dev/null' EXIT
RESERVE=${DRILL_RESERVE:-25} done=''
while :; do
  room=$(($(left) - RESERVE))
  case $mode in # a Run's name: those Runs alone, in one stack where they are alike
  *-s[0-9]*) job="runs $room $(python3 $here/drill.py next 1 seed1 | cut -d' ' -f3)" ;;
  *) job=$(timeout 20 python3 $here/drill.py next "$room" "$mode" $done) ;;
  esac
  read -r what predicted engine <<<"$job" || break
  [ -n "$what" ] && [ "$room" -gt 20 ] || break
  engine=${DRILL_ENGINE:-$engine} budget=${DRILL_BUDGET:-$((room > 20 ? room - 15 : 5))}
  echo "== $what: predicted $predicted s, engine $engine, $room s of room, at $((SECONDS - begun)) s"
  cli="python3 -m repro.cli train --engine $engine --budget ${budget}s --checkpoint-every 30s"
  case $what in
  seeds3) set -- $cli table1 --profile "$profile" --seeds 3 ;;
  seed1 | resume) set -- $cli table1 --profile "$profile" ;;
  reduced) set -- $cli --profile "${DRILL_REDUCED:-reduced}" ;;
  ladder) set -- python3 $here/drill.py train "$profile" "$engine" "$budget" ladder-full-100-s{1..10} ;;
  runs) set -- python3 $here/drill.py train "$profile" "$engine" "$budget" ${mode//,/ } ;;
  esac
  timeout -s INT -k 8 "$((room > 13 ? room - 8 : 5))" "$@" >>"$OUT/train.log" 2>&1
  echo "== $what: exit code $?" && tail -n 4 "$OUT/train.log"
  done="$done $what"
  [ "$mode" = auto ] || break
done
if [ "$(left)" -gt "$((RESERVE + 15))" ]; then # do weights trained on a CPU score alike here?
  timeout "$(($(left) - RESERVE))" python3 -m repro.cli verify mnist-lvae_bn_wu-L5-s1 --profile reduced --store results
fi
kill $watcher
[ -d runs ] && tar czf "$OUT/records.tgz" --exclude='.*' runs
timeout -k 1 "$(($(left) > 6 ? $(left) - 3 : 4))" python3 $here/drill.py collect "$OUT" || echo "collect: exit code $?"
ls -l "$OUT" && echo "call B took $((SECONDS - begun)) s of $limit"
