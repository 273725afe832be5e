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
