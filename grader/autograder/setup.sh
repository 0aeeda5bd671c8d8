#!/usr/bin/env bash
# Gradescope runs this once, as root, while it builds the image: Python, a virtual environment with torch, bubblewrap
# where it is offered.
set -euo pipefail

root=${AUTOGRADER_ROOT:-/autograder}
source=$root/source
export DEBIAN_FRONTEND=noninteractive

find_python() {
  local name
  for name in python3.12 python3.13 python3.11 python3; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
}

install() {
  apt-get install -y -q --no-install-recommends "$@"
}

python=$(find_python)
if [ -z "$python" ]; then
  # Ubuntu 22.04 has 3.10, and 3.11 beside it; 24.04 has 3.12
  apt-get update -q
  install python3.12 || install python3.11 || { echo 'Python 3.11 or newer cannot be installed here.' >&2; exit 1; }
  python=$(find_python)
fi
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
  apt-get update -q
  install "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
fi
if ! command -v bwrap >/dev/null; then
  apt-get update -q && install bubblewrap || echo 'No bubblewrap: student code is confined by Landlock.'
fi

"$python" -m venv "$root/venv"
if [ -f "$source/pip.conf" ]; then
  export PIP_CONFIG_FILE=$source/pip.conf
fi
cd "$source"
"$root/venv/bin/python" -m pip install -q --no-cache-dir --disable-pip-version-check -c constraints.txt -e '.[notebooks]'

# The reference lies there. A worker could not read it anyway; this is a second door.
chmod 700 "$source"

# For whoever reads the log of the build; what confines student code is proven anew for each submission.
"$root/venv/bin/python" grade.py doctor || true
