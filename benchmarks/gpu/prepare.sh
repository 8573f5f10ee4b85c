#!/usr/bin/env bash
# Makes .drill/ in the project's root: all that a rented GPU machine needs and the checkout does not
# hold. Run it before renting, after the last commit: bash benchmarks/gpu/prepare.sh
set -euo pipefail
limit=${DRILL_MIB:-60} # MiB that may travel
root=$(git rev-parse --show-toplevel)
cd "$root"
exclude=$(git rev-parse --git-path info/exclude) && mkdir -p "$(dirname "$exclude")"
grep -qx '/.drill/' "$exclude" 2>/dev/null || echo '/.drill/' >>"$exclude"
if [ -n "$(git status --porcelain -- repro tables figures pyproject.toml requirements.txt)" ]; then
  echo 'uncommitted changes: records made with them cannot be published. Commit first.'
  exit 1
fi
mkdir -p .drill/data .drill/resume
cp -r "${REPRO_DATA:?names the folder of the data sets, as repro data fetch fills it}/mnist" .drill/data/
chmod -R u+w .drill
# The commit travels as the stamp that `repro.machine.commit` reads where there is no git, with a digest of
# the sources: a changed one is dirty.
python3 -m repro.machine.commit
mv repro/_commit.txt .drill/
bytes() { xargs -0 -r stat -c %s -- 2>/dev/null | awk '{s += $1} END {print s + 0}'; }
listed() { git ls-files -z --cached --others --exclude-standard "$@"; }
tree=$(listed | bytes) carried=$(find .drill -type f -print0 | bytes)
total=$(((tree + carried) / 2**20))
echo "travels: checkout $((tree / 2**20)) MiB + .drill $((carried / 2**20)) MiB = $total MiB of $limit"
if [ "$total" -ge "$limit" ]; then
  echo "More than $limit MiB. Move some of these out of the checkout until the drill is over (then"
  echo '`git checkout -- PATH`; records stay clean, as only code is watched), and run this again:'
  for part in $(listed | tr '\0' '\n' | cut -d/ -f1-3 | sort -u); do
    echo "$(listed "$part" | bytes) $part"
  done | sort -rn | head -8 | awk '{printf "  %5.1f MiB  %s\n", $1 / 2^20, $2}'
  exit 1
fi
echo 'ready: see README.md beside prepare.sh for the two calls'
