# Read by a.sh and b.sh: places and settings that both calls share. Run in the project's root.
here=benchmarks/gpu brought=.drill
export DRILL_HOME=${DRILL_HOME:-/tmp/drill} OUT=${OUT:?names the folder for results} PYTHONUNBUFFERED=1
export TORCHINDUCTOR_CACHE_DIR=$DRILL_HOME/cache/inductor TRITON_CACHE_DIR=$DRILL_HOME/cache/triton
export TORCHINDUCTOR_COMPILE_THREADS=${TORCHINDUCTOR_COMPILE_THREADS:-4}
export PYTHONPATH=$PWD REPRO_DATA=${REPRO_DATA:-$PWD/$brought/data}
mkdir -p "$OUT" "$DRILL_HOME/cache"
# Records name the commit that prepare.sh packed. A .git of another state of the project, as a copied
# checkout may have, is set aside where there is a device; elsewhere call A refuses it.
packed=$(cut -d' ' -f1 $brought/_commit.txt 2>/dev/null)
if [ -n "$packed" ] && [ "${DRILL_DEVICE:-cuda}" = cuda ] &&
  [ "$(git -c safe.directory="$PWD" rev-parse HEAD 2>/dev/null)" != "$packed" ]; then
  [ ! -e .git ] || { mv .git "$brought/git-set-aside.$$" && echo "set aside: $brought/git-set-aside.$$"; }
  cp $brought/_commit.txt repro/
fi
[ -d "$DRILL_HOME/cache/inductor" ] || ! [ -f $brought/cache.tgz ] ||
  tar xzf $brought/cache.tgz -C "$DRILL_HOME"

# Prints why records made here could not be published, or nothing.
commit_fault() {
  timeout 60 python3 - "$packed" <<'END' || echo 'no commit: repro cannot be imported'
import sys
from repro.machine.commit import commit
from repro.store.places import ROOT
head, dirty = commit(ROOT)
packed = sys.argv[1] or "none, as prepare.sh was not run"
if head != packed or dirty is not False:
    print(f"records would say commit {head}, dirty {dirty}; packed was {packed}")
END
}
