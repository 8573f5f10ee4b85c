#!/usr/bin/env bash
# From a fresh checkout to the verdict in one command; `./run_all.sh --help` says how.
[ -n "${BASH_VERSION:-}" ] || {
  echo "run_all.sh: needs bash: run ./run_all.sh, or bash run_all.sh" >&2
  exit 2
}
set -euo pipefail
CALLED_FROM=$PWD
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "$0" 2>/dev/null || printf '%s' "$0")")"

SETUP_MB=2000
VENV=.venv
STAMP=$VENV/.set-up
EXTRAS_STAMP=$VENV/.set-up-extras

usage() {
  cat <<'EOF'
usage: ./run_all.sh [--profile P] [--seeds N | --seed N] [--budget T] [--data-dir D]
       ./run_all.sh --cached [--profile P]
       ./run_all.sh test [PYTEST ARGUMENT...]

Sets up .venv, gets the data, trains what runs/ lacks, draws tables and figures, holds the
results against the published numbers, and writes a report of all of it, an HTML page. Run
it again to continue where it was stopped.

  --profile P   smoke (seconds), quick (minutes), reduced (hours on a CPU) or paper (the
                published protocol). Default: paper with a CUDA device, else quick.
  --seeds N     seeds 1..N of every Run; 3-5 or 1,7: those alone
  --seed N      seed N alone of every Run
  --budget T    stop training cleanly after 90s, 25m or 1.5h; the same command continues
  --data-dir D  folder of the data sets (default: $REPRO_DATA, else data/)
  --cached      no training, no network: tables, figures, check and report from results/,
                drawn into runs/cached/
  test          set up, then linter, type checker and tests

environment: PYTHON      the Python (3.11 to 3.13) that .venv is made from
             REPRO_VENV  an existing environment to use as it is, without set-up
             REPRO_DATA  folder of the data sets

examples:    ./run_all.sh
             ./run_all.sh --profile reduced --budget 1.5h
             ./run_all.sh --cached
             ./run_all.sh test -k imports

exit codes: 0 done, 1 a check failed, 2 wrong usage, 3 data, record or environment error,
4 a Run failed or diverged, 130 interrupted, 141 the pipe it wrote to was closed.
EOF
}

die() {
  printf 'run_all.sh: %s\n' "$2" >&2
  exit "$1"
}

absolute() { # a path as it was meant where this was called; ~ is left to who reads it
  case $1 in
  '' | /* | '~'*) printf '%s' "$1" ;;
  *) printf '%s/%s' "${CALLED_FROM%/}" "$1" ;;
  esac
}

resolve_environment() {
  local name
  for name in REPRO_DATA REPRO_VENV; do
    [ -z "${!name:-}" ] || export "$name=$(absolute "${!name}")"
  done
  case ${PYTHON:-} in
  */*) PYTHON=$(absolute "$PYTHON") ;;
  esac
}

supported() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    supported "$PYTHON" || die 3 "PYTHON=$PYTHON is no Python 3.11 to 3.13: name another"
    command -v "$PYTHON"
    return
  fi
  for candidate in python3 python3.13 python3.12 python3.11; do
    if supported "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  die 3 "no Python 3.11 to 3.13 found: install one, or set PYTHON to it"
}

fingerprint() {
  "$1" -c 'import hashlib, os, pathlib, sys
names = "requirements.txt", "requirements-extras.txt", "pyproject.toml"
content = b"".join(pathlib.Path(n).read_bytes() for n in names)
content += f"{sys.version} {os.getcwd()}".encode()
print(hashlib.sha256(content).hexdigest())'
}

reusable() {
  supported "$VENV/bin/python" && "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || return 1
  [ -z "${PYTHON:-}" ] || [ "$(fingerprint "$PYTHON")" = "$(fingerprint "$VENV/bin/python")" ]
}

install() {
  local flags=(--disable-pip-version-check)
  [ -t 1 ] || flags+=(--quiet)
  "$python" -m pip install "${flags[@]}" "$@" ||
    die 3 "set-up failed at 'pip install $*': check network and disk (a CUDA build of torch takes up to 8 GB), then run this again"
}

set_up() {
  if [ -n "${REPRO_VENV:-}" ]; then
    python=$REPRO_VENV/bin/python
    [ -x "$python" ] || python=$REPRO_VENV/bin/python3
    supported "$python" || die 3 "REPRO_VENV=$REPRO_VENV has no Python 3.11 to 3.13 in bin/: unset it"
    "$python" -m repro.needed || exit 3
    return
  fi
  python=$VENV/bin/python
  if reusable && [ "$(cat "$STAMP" 2>/dev/null)" = "$(fingerprint "$python")" ]; then
    return
  fi
  [ ! -L "$VENV" ] ||
    die 3 "$VENV is a link, and set-up would change what it leads to: set REPRO_VENV to use that as it is"
  local free
  free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
  [ "$free" -ge "$SETUP_MB" ] ||
    die 3 "$free MB free here, set-up needs about $SETUP_MB MB: free some space, or move the checkout"
  if ! reusable; then
    local base
    base=$(find_python)
    "$base" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
      die 3 "$base has no venv module: install it (Debian, Ubuntu: apt install python3-venv), or set PYTHON to another Python"
    "$base" -m venv --clear "$VENV" || die 3 "cannot make $VENV with $base: is this folder writable?"
  fi
  echo "Setting up $VENV: a few minutes the first time."
  rm -f "$STAMP" "$EXTRAS_STAMP"
  install "$(grep '^torch==' requirements.txt)"
  install -r requirements.txt
  install --no-deps --no-build-isolation -e .
  fingerprint "$python" >"$STAMP"
}

set_up_extras() {
  [ -z "${REPRO_VENV:-}" ] || return 0
  cmp -s "$STAMP" "$EXTRAS_STAMP" || {
    install -r requirements-extras.txt
    cp "$STAMP" "$EXTRAS_STAMP"
  }
}

repro() { # in the background: bash hears of no signal before what is in the foreground ends
  local status=0
  (trap - INT && exec "$python" -m repro.cli "$@") &
  trap "kill -TERM $!; wait $! || exit \$?" TERM HUP
  trap "wait $! || exit \$?" INT # which the command hears as well
  wait $! || status=$?
  trap - INT TERM HUP
  return "$status"
}

ask() {
  "$python" -c "from repro.cli.shared import options; print($1)"
}

step() {
  local name=$1 log
  shift
  log=$(mktemp)
  printf '\n== %s\n' "$name"
  if "$@" 2>&1 | tee "$log"; then
    summary+="$(printf '%-20s passed: %s' "$name" "$(tail -n 1 "$log")")"$'\n'
  else
    summary+="$(printf '%-20s FAILED: %s' "$name" "$(tail -n 1 "$log")")"$'\n'
    failed=1
  fi
  rm -f "$log"
}

test_all() {
  summary='' failed=0
  step 'ruff check' "$python" -m ruff check .
  step 'ruff format' "$python" -m ruff format --check .
  step 'mypy' "$python" -m mypy
  if [ $# -gt 0 ]; then
    step 'pytest' "$python" -m pytest "$@"
  else
    # Two processes of one thread each: most tests are Python, which threads do not quicken.
    export OMP_NUM_THREADS=1 TORCHINDUCTOR_COMPILE_THREADS=1
    step 'pytest' "$python" -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 10
  fi
  printf '\n== summary\n%s' "$summary"
  return "$failed"
}

in_both() { # a Run of runs/ that results/ holds as well
  local record
  for record in runs/"$profile"/*/final.json; do
    [ ! -e "results/${record#runs/}" ] || return 0
  done
  return 1
}

draw_and_check() { # sets `checked`: figures or check that fail are still followed by the report
  local store=$1 out=$2 report=$3 against=()
  checked=0
  repro tables --store "$store" --profile "$profile" --out "$out/tables"
  repro figures --store "$store" --profile "$profile" --out "$out/figures" || checked=$?
  [ "$checked" != 130 ] || exit 130
  if [ "$store" = runs ] && in_both; then
    against=(--against results)
  fi
  repro check --store "$store" --profile "$profile" ${against[@]+"${against[@]}"} || checked=$?
  [ "$checked" != 130 ] || exit 130
  repro report --store "$store" --out "$report"
  printf '\nrecords  %s/%s/\ntables   %s/tables/\nfigures  %s/figures/\nreport   %s\n' \
    "$store" "$profile" "$out" "$out" "$report"
}

cached() {
  profile=${profile:-$(ask 'options.to_read("results", None)[1].name')}
  case $profile in smoke | quick | reduced | paper) ;; *) die 2 "unknown profile $profile" ;; esac
  ls results/"$profile"/*/final.json >/dev/null 2>&1 ||
    die 3 "results/ holds no record of profile $profile: run without --cached, or choose another --profile"
  echo "Profile $profile from results/: tables, figures, check, report; no training, no network."
  draw_and_check results "runs/cached/$profile" runs/cached/report.html
  exit "$checked"
}

reproduce() {
  local status=0 data=() train=()
  profile=${profile:-$(ask 'options.profile_to_train(None).name')}
  train=(--profile "$profile")
  [ -z "$seeds" ] || train+=(--seeds "$seeds")
  [ -z "$seed" ] || train+=(--seed "$seed")
  [ -z "$budget" ] || train+=(--budget "$budget")
  [ -z "$data_dir" ] || data=(--data-dir "$data_dir")
  echo "To do: get the data, train what runs/ lacks, evaluate, draw tables and figures, check, report."
  repro train "${train[@]}" --dry-run
  repro data fetch ${data[@]+"${data[@]}"}
  repro train "${train[@]}" ${data[@]+"${data[@]}"} || status=$?
  case $status in
  0 | 4) ;; # the table says which Runs diverged, so it is drawn all the same
  *) exit "$status" ;;
  esac
  if ls runs/"$profile"/*/final.json >/dev/null 2>&1; then
    draw_and_check runs "runs/$profile" runs/report.html
    [ "$status" != 0 ] || status=$checked
  else
    echo "No Run of profile $profile is finished yet: nothing to draw or check."
  fi
  exit "$status"
}

resolve_environment
profile='' seeds='' seed='' budget='' data_dir='' mode=reproduce
if [ "${1:-}" = test ]; then
  shift
  set_up
  set_up_extras
  test_all "$@"
  exit
fi
while [ $# -gt 0 ]; do
  case $1 in
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
  esac
  case $1 in
  --help | -h) usage && exit 0 ;;
  --cached) mode=cached && shift && continue ;;
  --profile | --seeds | --seed | --budget | --data-dir) ;;
  *) die 2 "unknown argument '$1': see ./run_all.sh --help" ;;
  esac
  [ -n "${2:-}" ] || die 2 "$1 needs a value: see ./run_all.sh --help"
  case $1 in
  --profile) profile=$2 ;;
  --seeds) seeds=$2 ;;
  --seed) seed=$2 ;;
  --budget) budget=$2 ;;
  --data-dir) data_dir=$(absolute "$2") ;;
  esac
  shift 2
done
[ "$mode" = reproduce ] || [ -z "$seeds$seed$budget$data_dir" ] ||
  die 2 "--cached takes no other option than --profile: it trains nothing"
set_up
"$mode"
