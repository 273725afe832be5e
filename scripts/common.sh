# common.sh: what the scripts share: where the tree is, how progress and errors are shown. Sourced, never run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Debian's own interpreter: another python3 may come first in PATH and lacks Debian's pytest.
PYTHON=/usr/bin/python3

say() { printf '\n== %s\n' "$*" >&2; }
die() {
  printf '\n%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Says which command failed where, so that a log ends with the cause and not with a bare exit code.
trap 'status=$?; printf "\n%s: failed (exit %s) at line %s: %s\n" "${0##*/}" "$status" "$LINENO" "$BASH_COMMAND" >&2; exit "$status"' ERR

# How many compilers at once: one per core, fewer when there is less than 1.5 GB for each (units with Beast need that).
jobs_max() {
  local cores memory
  cores=$(nproc)
  memory=$(($(awk '/MemAvailable/ {print $2}' /proc/meminfo) / 1536000))
  echo $((memory < 1 ? 1 : (memory < cores ? memory : cores)))
}

# programs: sets `bin` to the folder with greenroomd and greenroom, seen from the top of the tree. That is GREENROOM_BIN, a
# build directory that has them already; without it, build/release, where they are built as far as needed. The variable goes
# no further: to the programs it would be an unknown setting.
programs() {
  bin=${GREENROOM_BIN:-}
  export -n GREENROOM_BIN
  local p
  if [ -n "$bin" ]; then
    for p in greenroomd greenroom; do
      [ -x "$bin/$p" ] || die "GREENROOM_BIN is $bin, but there is no $bin/$p"
    done
    return
  fi
  bin=build/release
  scripts/install
  [ -e "$bin/greenroomd" ] || say "the first build takes its time: about 5 minutes on 2 cores"
  scripts/build release greenroomd greenroom
}
