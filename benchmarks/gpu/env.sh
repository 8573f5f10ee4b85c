# Read by a.sh and b.sh: places and settings that both calls share. Run in the project's root.
here=benchmarks/gpu brought=.drill
export DRILL_HOME=${DRILL_HOME:-/tmp/drill} OUT=${OUT:?names the folder for results} PYTHONUNBUFFERED=1
export TORCHINDUCTOR_CACHE_DIR=$DRILL_HOME/cache/inductor TRITON_CACHE_DIR=$DRILL_HOME/cache/triton
export TORCHINDUCTOR_COMPILE_THREADS=${TORCHINDUCTOR_COMPILE_THREADS:-4}
export PYTHONPATH=$PWD REPRO_DATA=${REPRO_DATA:-$PWD/$brought/data}
mkdir -p "$OUT" "$DRILL_HOME/cache"
# Records name the commit that prepare.sh packed. A .git that lies here may be of another state of
# the project: it is neither used nor touched.
if [ -f $brought/git.tgz ]; then
  rm -rf "$DRILL_HOME/git" && mkdir -p "$DRILL_HOME/git" && tar xzf $brought/git.tgz -C "$DRILL_HOME/git"
  export GIT_DIR=$DRILL_HOME/git/.git GIT_WORK_TREE=$PWD
fi
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
[ -d "$DRILL_HOME/cache/inductor" ] || ! [ -f $brought/cache.tgz ] ||
  tar xzf $brought/cache.tgz -C "$DRILL_HOME"

# Prints why records made here could not be published, or nothing.
commit_fault() {
  timeout 60 python3 - "$(cat $brought/commit 2>/dev/null)" <<'END' || echo 'no commit: repro cannot be imported'
import sys
from repro.engine.provenance import commit
head, dirty = commit()
packed = sys.argv[1] or "none, as prepare.sh was not run"
if head != packed or dirty is not False:
    print(f"records would say commit {head}, dirty {dirty}; packed was {packed}")
END
}
